/* SPDX-License-Identifier: MIT */
/* A model larger than the card that is read in the same order again and again. */
#include "tests/stress/model.h"

#include <unistd.h>

TestSuite(streaming, .timeout = 120, .fini = stop_paged);

Test(streaming, a_model_twice_as_large_as_the_card_is_read_through_the_ring)
{
    struct model m = start_model("28MiB");
    uint64_t in_place, streamed, compared, to_host;

    passes(&m, 4);
    cr_assert_eq(stats_get(streaming_plans), 1);
    in_place = read_in_place();
    compared = stats_get(bytes_compared);
    streamed = stats_get(bytes_streamed);
    to_host = stats_now().bytes_to_host;
    passes(&m, 5);
    cr_expect_eq(read_in_place(), in_place, "nothing is read over the link");
    cr_expect_leq(stats_get(bytes_streamed) - streamed, 5 * (MODEL - 28 * MIB + 10 * PAGE));
    cr_expect_gt(stats_get(bytes_compared), compared, "homes are looked at before each use");
    cr_expect_leq(stats_now().bytes_to_host - to_host, 4096, "nothing is written back");
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
    expect_nothing_paged();
}

static void write_beside_reading(enum way way)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    write_while_reading(&m, way, 28);
    stop_model(&m);
}

/* Launches that read through a window, in some passes, when a profile says this of the link. */
static uint64_t redirected_with(const char *profile)
{
    char path[] = "/tmp/profile-XXXXXX";
    int fd = mkstemp(path);
    struct model m;

    cr_assert_eq(write(fd, profile, strlen(profile)), (ssize_t)strlen(profile));
    close(fd);
    setenv("VRAMSHIM_PROFILE", path, 1);
    m = start_model("28MiB");
    passes(&m, 6);
    stop_model(&m);
    unlink(path);
    return stats_get(launches_redirected);
}

Test(streaming, a_link_that_is_known_to_be_slow_is_not_copied_over)
{
    cr_expect_eq(redirected_with("name Simulated GPU\nh2d 1MB/s\n"), 0);
}

Test(streaming, a_link_that_is_known_to_be_fast_is_copied_over)
{
    cr_expect_gt(redirected_with("name Simulated GPU\nh2d 100GB/s\n"), 0);
}

Test(streaming, what_is_known_of_another_card_is_not_believed)
{
    cr_expect_gt(redirected_with("name Another GPU\nh2d 1MB/s\n"), 0);
}

Test(streaming, a_profile_that_is_none_is_not_believed)
{
    cr_expect_gt(redirected_with("name Simulated GPU\nh2d 1MB/s\nspeed 3\n"), 0);
}

Test(streaming, a_copy_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY);
}

Test(streaming, a_copy_in_stream_order_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY_IN_STREAM);
}

Test(streaming, a_memset_of_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_MEMSET);
}

Test(streaming, a_kernel_that_writes_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_KERNEL);
}

Test(streaming, a_write_through_a_pointer_in_device_memory_is_seen_by_the_next_launch)
{
    write_beside_reading(THROUGH_A_POINTER);
}

Test(streaming, weights_that_are_written_in_every_pass_stay_on_the_card)
{
    struct model m = start_model("28MiB");

    for (uint32_t i = 0; i < 12; i++) {
        pass(&m);
        for (uint32_t k = 0; k < 4; k++) {
            uint64_t offset = (uint64_t)k * 3 * TENSOR;

            ok(launch_fill(&m.code, m.weights + offset, 1, i * 10 + k, m.stream));
            *mirror_at(&m, offset) = i * 10 + k;
        }
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    stop_model(&m);
}

/* As caches are when the first tokens are all the same: nothing seems to be written. */
Test(streaming, what_was_written_with_what_was_there_may_be_written_with_something_else_later)
{
    struct model m = start_model("28MiB");

    for (uint32_t i = 0; i < 16; i++) {
        for (uint32_t k = 0; k < TENSORS; k++) {
            uint64_t offset = (uint64_t)k * TENSOR + (k % 2) * PAGE;
            uint32_t value = i < 6 ? *mirror_at(&m, offset) : i * 100 + k;

            read_tensor(&m, k);
            if (k % 3)
                continue;
            ok(launch_fill(&m.code, m.weights + offset, 1, value, m.stream));
            *mirror_at(&m, offset) = value;
            read_tensor(&m, k);
        }
        expect_sum(&m);
        for (uint32_t k = 0; k < TENSORS; k += 3)
            cr_assert_eq(read_word(m.weights + (uint64_t)k * TENSOR + (k % 2) * PAGE),
                         *mirror_at(&m, (uint64_t)k * TENSOR + (k % 2) * PAGE), "pass %u", i);
    }
    cr_expect_gt(stats_get(launches_redirected), 0);
    stop_model(&m);
}

/* Who was seen to leave the weights alone, and is not given a pointer to them. */
static void write_after_ten_passes(struct model *m)
{
    for (uint32_t i = 0; i < 10; i++) {
        pass(m);
        write_weight(m, THROUGH_A_POINTER, i % TENSORS, *mirror_at(m, i % TENSORS * TENSOR));
    }
    cr_assert_eq(stats_get(streaming_ends), 0);
    for (uint32_t tensor = 0; tensor < TENSORS; tensor++)
        write_weight(m, THROUGH_A_POINTER, tensor, 77 + tensor);
}

Test(streaming, a_known_function_that_begins_to_write_to_an_uploaded_address_is_seen_at_once)
{
    struct model m = start_model("28MiB");

    upload_pointers(&m, POINTERS_SEEN);
    write_after_ten_passes(&m);
    passes(&m, 6);
    expect_sum(&m);
    cr_expect_eq(stats_get(streaming_ends), 1);
    stop_model(&m);
}

/* The one thing that is noticed late: a few bytes that it writes to where nobody has seen the
 * address of. A copy that is in the ring by then is out of date for a lap. */
Test(streaming, who_makes_an_address_and_begins_to_write_few_bytes_there_is_noticed_within_a_lap)
{
    struct model m = start_model("28MiB");
    uint32_t zero = 0;

    upload_pointers(&m, POINTERS_HIDDEN);
    write_after_ten_passes(&m);
    passes(&m, 2);
    ok(cuStreamSynchronize(m.stream));
    pass(&m);
    cr_expect_eq(stats_get(streaming_ends), 1);
    ok(cuStreamSynchronize(m.stream));
    ok(cuMemcpyHtoD_v2(m.sum, &zero, 4));
    m.expected = 0;
    passes(&m, 6);
    expect_sum(&m);
    stop_model(&m);
}

Test(streaming, a_random_order_is_read_right)
{
    struct model m = start_model("28MiB");
    unsigned int seed = 5;

    passes(&m, 5);
    for (uint32_t i = 0; i < 400; i++) {
        read_tensor(&m, (uint32_t)rand_r(&seed) % TENSORS);
        if (i % 16 == 0)
            expect_sum(&m);
    }
    expect_sum(&m);
    passes(&m, 6);
    stop_model(&m);
}

Test(streaming, a_buffer_freed_and_another_at_its_place_are_told_apart)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (uint32_t round = 0; round < 3; round++) {
        CUdeviceptr before = m.weights;

        read_tensor(&m, 0);
        expect_sum(&m);
        ok(cuMemFree_v2(m.weights));
        m.weights = alloc(MODEL);
        cr_expect_eq(m.weights, before);
        for (uint64_t i = 0; i < MODEL; i += 64 * KIB) {
            *mirror_at(&m, i) = (uint32_t)(i * 31 + round);
            ok(cuMemcpyHtoD_v2(m.weights + i, mirror_at(&m, i), 4));
        }
        passes(&m, 5);
    }
    cr_expect_geq(stats_get(streaming_plans), 4);
    stop_model(&m);
}

Test(streaming, a_pass_of_another_order_is_learned_anew)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (int round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < TENSORS; i++)
            read_tensor(&m, i * 5 % TENSORS);
        expect_sum(&m);
    }
    cr_expect_geq(stats_get(streaming_plans), 2);
    stop_model(&m);
}

Test(streaming, what_is_allocated_meanwhile_does_not_disturb)
{
    struct model m = start_model("28MiB");

    passes(&m, 5);
    for (uint32_t i = 0; i < 10; i++) {
        CUdeviceptr more = alloc(4 * PAGE);

        ok(launch_fill(&m.code, more, 16, i, m.stream));
        pass(&m);
        cr_expect_eq(read_word(more), i);
        ok(cuMemFree_v2(more));
    }
    passes(&m, 5);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}

Test(streaming, memory_that_comes_and_goes_with_every_pass_ends_no_plan)
{
    struct model m = start_model("28MiB");

    for (uint32_t i = 0; i < 12; i++) {
        CUdeviceptr more = alloc(PAGE);

        ok(launch_fill(&m.code, more, 16, i, m.stream));
        pass(&m);
        cr_expect_eq(read_word(more), i);
        ok(cuMemFree_v2(more));
    }
    cr_expect_eq(stats_get(streaming_plans), 1);
    cr_expect_eq(stats_get(streaming_ends), 0);
    stop_model(&m);
    expect_nothing_paged();
}

Test(streaming, memory_that_came_later_and_stays_is_planned_with)
{
    struct model m = start_model("28MiB");
    uint64_t in_place;
    CUdeviceptr more;

    passes(&m, 5);
    more = alloc(3 * PAGE);
    cr_assert_eq(stats_get(streaming_plans), 1);
    for (uint32_t i = 0; i < 12; i++) {
        in_place = read_in_place();
        ok(launch_fill(&m.code, more + 2 * PAGE, 16, i, m.stream));
        pass(&m);
        cr_expect_eq(read_word(more + 2 * PAGE), i);
    }
    cr_expect_eq(stats_get(streaming_plans), 2);
    cr_expect_eq(read_in_place(), in_place, "what is written is on the card");
    ok(cuMemFree_v2(more));
    stop_model(&m);
}

Test(streaming, another_model_that_is_read_from_then_on_is_learned)
{
    struct model m = start_model("28MiB");
    CUdeviceptr other = alloc(MODEL);
    CUdeviceptr first = m.weights;
    uint32_t zero = 0;

    for (uint64_t i = 0; i < MODEL; i += 64 * KIB)
        ok(cuMemcpyHtoD_v2(other + i, mirror_at(&m, i), 4));
    passes(&m, 5);
    cr_assert_eq(stats_get(streaming_plans), 1);
    ok(cuMemcpyHtoD_v2(m.sum, &zero, 4));
    m.expected = 0;
    m.weights = other;
    passes(&m, 40);
    cr_expect_eq(stats_get(streaming_plans), 2);
    ok(cuMemFree_v2(first));
    stop_model(&m);
}

/* Allocations take whole pages, of the last of which these use a quarter. */
Test(streaming, what_lies_behind_the_end_of_an_allocation_is_not_copied)
{
    enum { PARTS = 12, USED = TENSOR + PAGE / 4, MAPPED = TENSOR + PAGE };
    struct model m = start_model("28MiB");
    CUdeviceptr parts[PARTS];
    uint64_t streamed = 0;

    ok(cuMemFree_v2(m.weights));
    for (uint32_t i = 0; i < PARTS; i++) {
        parts[i] = alloc(USED);
        for (uint64_t at = 0; at < TENSOR; at += 64 * KIB)
            ok(cuMemcpyHtoD_v2(parts[i] + at, mirror_at(&m, at), 4));
    }
    for (uint32_t pass = 0; pass < 6; pass++) {
        streamed = stats_get(bytes_streamed);
        for (uint32_t i = 0; i < PARTS; i++) {
            m.weights = parts[i];
            read_tensor(&m, 0);
        }
        expect_sum(&m);
    }
    streamed = stats_get(bytes_streamed) - streamed;
    cr_expect_gt(streamed, 0);
    cr_expect_lt(streamed, PARTS * (uint64_t)MAPPED - 28 * MIB, "%llu MiB of the parts are away",
                 (unsigned long long)(streamed / MIB));
    for (uint32_t i = 1; i < PARTS; i++)
        ok(cuMemFree_v2(parts[i]));
    m.weights = parts[0];
    stop_model(&m);
}

/* An image: so many steps of the model, and another component before them. */
static void image(struct model *m, CUdeviceptr other, uint32_t tensors)
{
    CUdeviceptr model = m->weights;

    m->weights = other;
    for (uint32_t i = 0; i < tensors; i++)
        read_tensor(m, i);
    m->weights = model;
    passes(m, 6);
}

Test(streaming, what_is_read_beside_the_pass_takes_turns_from_the_second_time_on)
{
    struct model m = start_model("36MiB");
    CUdeviceptr other = alloc(MODEL);
    uint64_t in_place[4];

    for (uint64_t i = 0; i < MODEL; i += 64 * KIB)
        ok(cuMemcpyHtoD_v2(other + i, mirror_at(&m, i), 4));
    for (int i = 0; i < 4; i++) {
        image(&m, other, TENSORS);
        in_place[i] = read_in_place();
    }
    cr_expect_eq(stats_get(streaming_ends), 0);
    cr_expect_eq(stats_get(streaming_plans), 2);
    cr_expect_gt(in_place[1], in_place[0]);
    cr_expect_eq(in_place[2], in_place[1], "the third image is read through the ring");
    cr_expect_eq(in_place[3], in_place[1]);
    ok(cuMemFree_v2(other));
    stop_model(&m);
    expect_nothing_paged();
}

Test(streaming, what_is_not_used_any_more_makes_room_for_the_pass)
{
    struct model m = start_model("40MiB");
    CUdeviceptr other;
    uint64_t streamed;

    ok(cuMemFree_v2(m.weights));
    other = alloc(24 * MIB);
    m.weights = alloc(MODEL);
    for (uint64_t i = 0; i < MODEL; i += 64 * KIB)
        ok(cuMemcpyHtoD_v2(m.weights + i, mirror_at(&m, i), 4));
    for (uint32_t i = 0; i < 4 * TENSORS; i++)
        ok(launch_fill(&m.code, m.sum + 16, 1, i, m.stream));
    passes(&m, 6);
    streamed = stats_get(bytes_streamed);
    pass(&m);
    cr_expect_lt(stats_get(bytes_streamed) - streamed, MODEL - 24 * MIB);
    cr_expect_gt(stats_get(bytes_streamed), streamed);
    expect_sum(&m);
    ok(cuMemFree_v2(other));
    stop_model(&m);
}

/* Events, and the ring, however far the plan has come; a stream and a table stay for the next one.
 */
Test(streaming, nothing_of_a_plan_stays_when_its_memory_is_freed)
{
    for (uint32_t launches = TENSORS; launches < 4 * TENSORS; launches += TENSORS / 2) {
        struct model m = start_model("28MiB");

        for (uint32_t i = 0; i < launches; i++)
            read_tensor(&m, i % TENSORS);
        expect_sum(&m);
        stop_model(&m);
        cr_expect_eq(stats_now().events, 0, "after %u launches", launches);
        expect_nothing_paged();
        stop_paged();
    }
}
