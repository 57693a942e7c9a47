/* SPDX-License-Identifier: MIT */
/* A model larger than the card, of which the user has a plan. */
#include "tests/reported.h"
#include "tests/stress/model.h"

TestSuite(planned, .timeout = 120, .fini = stop_paged);

Test(planned, the_first_pass_is_read_through_the_ring)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);
    uint64_t in_place;

    cr_expect_eq(stats_get(streaming_plans), 1, "before anything was launched");
    cr_expect_eq(stats_get(chunks_to_device) + stats_get(chunks_to_host), 0, "no home was moved");
    pass(&m);
    in_place = read_in_place();
    cr_expect_leq(in_place, TENSOR, "but for the first launch nothing is read over the link");
    cr_expect_leq(stats_get(bytes_streamed), MODEL - 28 * MIB + 12 * PAGE);
    passes(&m, 5);
    cr_expect_eq(read_in_place(), in_place);
    cr_expect_eq(stats_get(streaming_plans), 1);
    cr_expect_eq(stats_get(streaming_ends), 0);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
    expect_nothing_paged();
}

Test(planned, what_the_plan_leaves_away_is_never_on_the_device)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);

    cr_expect_eq(stats_get(bytes_to_host) + stats_get(bytes_to_device), 0);
    cr_expect_geq(stats_get(host_bytes), MODEL - 28 * MIB);
    cr_expect_leq(stats_get(host_bytes), MODEL - 28 * MIB + 10 * PAGE);
    stop_model(&m);
}

Test(planned, another_budget_than_the_plans_is_filled_as_well)
{
    struct model m = start_planned("20MiB", 40 * MIB, false);

    cr_expect_geq(stats_get(host_bytes), MODEL - 20 * MIB);
    pass(&m);
    cr_expect_leq(read_in_place(), TENSOR);
    passes(&m, 4);
    cr_expect_leq(stats_get(bytes_streamed), 5 * (MODEL - 20 * MIB + 12 * PAGE));
    stop_model(&m);
}

Test(planned, tensors_with_other_bytes_are_recognised_by_their_size)
{
    struct model m = start_planned("28MiB", 28 * MIB, true);

    pass(&m);
    cr_expect_leq(read_in_place(), TENSOR);
    stop_model(&m);
}

/* The first three tensors have been pinned to host memory, the last three to the device. */
static void expect_pinned(const struct model *m)
{
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect(is_home(m, i, TIER_HOST), "tensor %u", i);
        cr_expect(is_home(m, TENSORS - 1 - i, TIER_DEVICE), "tensor %u", TENSORS - 1 - i);
    }
}

Test(planned, what_is_pinned_stays_there_while_the_rest_takes_turns)
{
    struct model m = start_pinned("32MiB", 32 * MIB, 3, 3);

    expect_pinned(&m);
    passes(&m, 5);
    expect_pinned(&m);
    cr_expect_gt(stats_get(bytes_streamed), 4 * 3 * TENSOR, "it comes for every launch");
    cr_expect_eq(stats_get(streaming_ends), 0);
    stop_model(&m);
    expect_nothing_paged();
}

Test(planned, what_is_pinned_stays_there_when_all_would_have_room)
{
    struct model m = start_pinned("60MiB", 60 * MIB, 3, 3);

    passes(&m, 6);
    expect_pinned(&m);
    for (uint32_t i = 3; i < TENSORS - 3; i++)
        cr_expect(is_home(&m, i, TIER_DEVICE), "tensor %u", i);
    stop_model(&m);
}

/* Passes over what is in the middle, and now and then what is beside it. */
static void pass_with_others(struct model *m)
{
    for (int i = 0; i < 8; i++) {
        for (uint32_t k = 0; k < TENSORS; k++) {
            if (i % 2 || (k >= 3 && k < TENSORS - 3))
                read_tensor(m, k);
        }
        expect_pinned(m);
    }
    expect_sum(m);
}

Test(planned, what_is_pinned_stays_there_when_it_is_read_beside_the_pass)
{
    struct model m = start_pinned_beside("28MiB", 28 * MIB, 3, 3);

    expect_pinned(&m);
    pass_with_others(&m);
    stop_model(&m);
}

Test(planned, so_it_does_when_it_comes_after_the_first_pass)
{
    struct model m = start_pinned_late("28MiB", 28 * MIB, 3, 3);

    for (uint32_t k = 3; k < TENSORS - 3; k++)
        read_tensor(&m, k);
    cr_expect_eq(stats_get(streaming_plans), 1);
    for (uint32_t k = TENSORS - 3; k < TENSORS; k++)
        upload_tensor(&m, k);
    read_tensor(&m, 3);
    pass_with_others(&m);
    stop_model(&m);
}

Test(planned, so_it_does_when_all_would_have_room)
{
    struct model m = start_pinned_beside("60MiB", 60 * MIB, 3, 3);

    pass_with_others(&m);
    stop_model(&m);
}

Test(planned, what_is_pinned_stays_there_with_another_budget_and_behind_the_plan)
{
    struct model m = start_pinned("24MiB", 40 * MIB, 3, 3);

    passes(&m, 3);
    expect_pinned(&m);
    for (uint32_t i = 0; i < 8; i++) {
        write_weight(&m, i % 2 ? BY_KERNEL : BY_COPY, 4 + i % 4, 1000 + i);
        pass(&m);
    }
    expect_sum(&m);
    expect_pinned(&m);
    stop_model(&m);
}

static void write_beside_reading(enum way way)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);

    write_while_reading(&m, way, 28);
    stop_model(&m);
}

Test(planned, a_copy_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY);
}

Test(planned, a_copy_in_stream_order_into_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_COPY_IN_STREAM);
}

Test(planned, a_memset_of_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_MEMSET);
}

Test(planned, a_kernel_that_writes_a_weight_is_seen_by_the_next_launch)
{
    write_beside_reading(BY_KERNEL);
}

Test(planned, a_write_through_a_pointer_in_device_memory_is_seen_by_the_next_launch)
{
    write_beside_reading(THROUGH_A_POINTER);
}

/* In a pass in which nobody is known, by a launch in whose time copies could be made. */
static void write_between_readings(const char *order)
{
    struct model m;

    setenv("SIM_ORDER", order, 1);
    m = start_planned("28MiB", 28 * MIB, false);
    upload_pointers(&m, POINTERS_HIDDEN);
    for (uint32_t k = 0; k < TENSORS; k++) {
        write_weight(&m, THROUGH_A_POINTER, k, 500 + k);
        read_tensor(&m, k);
        if (k != TENSORS / 2)
            continue;
        write_weight(&m, THROUGH_A_POINTER, k, 900);
        read_tensor(&m, k);
    }
    expect_sum(&m);
    passes(&m, 4);
    stop_model(&m);
}

Test(planned, what_is_written_between_two_readings_is_seen_by_the_second)
{
    write_between_readings("lazy");
}

Test(planned, what_is_written_is_seen_though_copies_run_as_soon_as_they_may)
{
    write_between_readings("restless");
}

/* write_tensor(at, bytes, value): writes what read_tensor() looks at. */
struct write_params {
    uint64_t at;
    uint64_t bytes;
    uint32_t value;
};
static const size_t write_offsets[] = {0, 8, 16};
static const size_t write_sizes[] = {8, 8, 4};

static void write_run(const void *params)
{
    const struct write_params *p = params;

    for (uint64_t i = 0; i < p->bytes; i += 64 * KIB) {
        uint32_t *word = sim_kernel_access(p->at + i, 64 * KIB, 1);

        if (!word)
            return;
        *word = p->value;
    }
}

static const struct sim_native_kernel write_kernel = {"write_tensor", 3, write_offsets, write_sizes,
                                                      write_run};

static void write_tensor(struct model *m, CUfunction write, uint32_t tensor, uint32_t value)
{
    CUdeviceptr at = m->weights + (uint64_t)tensor * TENSOR;
    uint64_t bytes = TENSOR;
    void *params[] = {&at, &bytes, &value};

    ok(cuLaunchKernel(write, 1, 1, 1, 1, 1, 1, 0, m->stream, params, NULL));
    for (uint64_t i = 0; i < TENSOR; i += 64 * KIB)
        *mirror_at(m, (uint64_t)tensor * TENSOR + i) = value;
}

/* The host hears of what the first one did when the second one has been launched. */
static void write_twice(bool known)
{
    CUfunction write;
    struct model m;

    setenv("SIM_ORDER", "lazy", 1);
    sim_register_kernel(&write_kernel);
    m = known ? start_known("28MiB", 28 * MIB, false) : start_planned("28MiB", 28 * MIB, false);
    ok(cuModuleGetFunction(&write, m.code.module, "write_tensor"));
    for (uint32_t i = 0; i < 3; i++) {
        for (uint32_t k = 0; k < TENSORS; k++) {
            read_tensor(&m, k);
            if (k % 3 == 2)
                write_tensor(&m, write, k, 2000 + 100 * i + k);
        }
    }
    passes(&m, 1);
    stop_model(&m);
}

Test(planned, a_weight_that_is_written_twice_before_anybody_waits_has_what_came_last)
{
    write_twice(false);
}

Test(planned, so_it_has_when_who_writes_is_known_to_be_harmless)
{
    write_twice(true);
}

Test(planned, after_two_passes_copies_go_on_beside_launches)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);
    uint64_t drains = stats_get(safe_points);
    uint64_t apart;

    pass(&m);
    cr_expect_eq(stats_get(bytes_compared), 0, "nobody could have written since");
    cr_expect_eq(stats_get(launches_apart), TENSORS, "nothing is known of what reads the weights");
    cr_expect_leq(stats_get(safe_points) - drains, 2, "but the host waits for a trial alone");
    passes(&m, 2);
    drains = stats_get(safe_points);
    apart = stats_get(launches_apart);
    passes(&m, 3);
    cr_expect_eq(stats_get(safe_points), drains);
    cr_expect_eq(stats_get(launches_apart), apart);
    cr_expect_gt(stats_get(bytes_compared), 0);
    cr_expect_eq(stats_get(streaming_plans), 1);
    stop_model(&m);
}

Test(planned, functions_that_the_plan_knows_find_copies_ahead_from_their_second_launch_on)
{
    struct model m = start_known("28MiB", 28 * MIB, false);
    uint64_t drains = stats_get(safe_points);

    pass(&m);
    cr_expect_leq(stats_get(safe_points) - drains, 2,
                  "behind uploads, and for a launch that is timed");
    cr_expect_leq(stats_now().kernel_bytes_host, TENSOR);
    passes(&m, 5);
    cr_expect_leq(stats_get(safe_points) - drains, 2);
    cr_expect_eq(stats_get(streaming_ends), 0);
    cr_expect_eq(n_reported(), 1, "so it is the next time, if it was launched");
    stop_model(&m);
}

Test(planned, between_strangers_nothing_is_copied_that_they_would_void)
{
    struct model m = start_known("28MiB", 28 * MIB, false);
    uint64_t away = stats_get(host_bytes);
    CUdeviceptr noted;

    ok(cuMemAlloc_v2(&noted, 256));
    for (uint32_t k = 0; k < TENSORS; k++) {
        read_tensor(&m, k);
        if (k % 2)
            ok(launch_fill(&m.code, noted, 1, k, m.stream));
    }
    expect_sum(&m);
    cr_expect_eq(stats_get(launches_apart), TENSORS / 2);
    cr_expect_leq(stats_get(bytes_streamed), away + 2 * PAGE, "%lu MiB of %lu",
                  (unsigned long)(stats_get(bytes_streamed) / MIB), (unsigned long)(away / MIB));
    stop_model(&m);
}

Test(planned, functions_of_a_librarys_module_are_known_too)
{
    struct model m = start_known("28MiB", 28 * MIB, false);
    CUlibrary library;
    CUmodule module;

    ok(cuLibraryLoadData(&library, "SIM-NATIVE\n.version 1", NULL, NULL, 0, NULL, NULL, 0));
    ok(cuLibraryGetModule(&module, library));
    ok(cuModuleGetFunction(&m.read, module, "read_tensor"));
    pass(&m);
    cr_expect_eq(stats_get(launches_apart), 0);
    stop_model(&m);
}

Test(planned, functions_of_other_code_are_not_known_by_their_names)
{
    struct model m = start_known("28MiB", 28 * MIB, true);

    cr_expect_eq(n_reported(), 0);
    pass(&m);
    cr_expect_eq(stats_get(launches_apart), TENSORS);
    passes(&m, 4);
    cr_expect_eq(n_reported(), 1, "it has been seen by now");
    stop_model(&m);
}

/* As in who_makes_an_address_and_begins_to_write_few_bytes_there_is_noticed_within_a_lap. */
static void write_as_one_who_is_known(uint32_t passes_before)
{
    struct model m = start_known("28MiB", 28 * MIB, false);
    uint32_t zero = 0;

    upload_pointers(&m, POINTERS_HIDDEN);
    passes(&m, (int)passes_before);
    for (uint32_t tensor = 0; tensor < TENSORS; tensor++)
        write_weight(&m, THROUGH_A_POINTER, tensor, 77 + tensor);
    if (!passes_before)
        read_tensor(&m, 0);
    passes(&m, 2);
    ok(cuStreamSynchronize(m.stream));
    pass(&m);
    cr_expect_eq(stats_get(streaming_ends), passes_before ? 1 : 0);
    cr_expect_eq(n_reported(), passes_before ? 0 : 2);
    ok(cuStreamSynchronize(m.stream));
    ok(cuMemcpyHtoD_v2(m.sum, &zero, 4));
    m.expected = 0;
    passes(&m, 6);
    expect_sum(&m);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}

Test(planned, who_is_known_to_be_harmless_and_writes_is_noticed_within_a_lap)
{
    write_as_one_who_is_known(1);
}

Test(planned, who_is_known_to_be_harmless_and_has_written_before_all_copies_has_done_no_harm)
{
    write_as_one_who_is_known(0);
}

Test(planned, who_is_known_and_writes_to_what_he_is_given_is_seen_by_the_next_launch)
{
    struct model m = start_known("28MiB", 28 * MIB, false);

    write_while_reading(&m, BY_KERNEL, 28);
    cr_expect_eq(n_reported(), 0);
    stop_model(&m);
}

/* A copy was made ahead beside him, and is read by somebody beside whom none would have been. */
Test(planned, what_who_is_known_writes_is_seen_by_who_is_not)
{
    struct model m = start_known("28MiB", 28 * MIB, false);
    CUfunction known = m.read;
    CUfunction stranger;
    CUmodule other;

    ok(cuModuleLoadData(&other, "SIM-NATIVE\n.version 2"));
    ok(cuModuleGetFunction(&stranger, other, "read_tensor"));
    upload_pointers(&m, POINTERS_SEEN);
    pass(&m);
    for (uint32_t k = 0; k < TENSORS; k++) {
        m.read = k % 3 ? known : stranger;
        if (k && k % 3 == 0) {
            ok(cuCtxSynchronize());
            write_weight(&m, THROUGH_A_POINTER, k, 4711 + k);
        }
        read_tensor(&m, k);
    }
    expect_sum(&m);
    stop_model(&m);
}

/* Nobody has watched those who are known, so nobody could tell who wrote there. */
Test(planned, what_is_read_beside_the_pass_does_not_become_a_phase_of_it)
{
    struct model m = start_known("28MiB", 28 * MIB, false);
    CUdeviceptr beside = alloc(8 * TENSOR);
    uint64_t bytes = 8 * TENSOR;
    void *params[] = {&m.sum, &beside, &bytes};

    ok(cuMemsetD32_v2(beside, 7, 8 * TENSOR / 4));
    for (int i = 0; i < 4; i++) {
        passes(&m, 3);
        ok(cuLaunchKernel(m.read, 1, 1, 1, 1, 1, 1, 0, m.stream, params, NULL));
        for (uint64_t at = 0; at < bytes; at += 64 * KIB)
            m.expected = m.expected * 33 + 7;
    }
    passes(&m, 3);
    cr_expect_eq(stats_get(streaming_plans), 1);
    cr_expect_eq(stats_get(streaming_ends), 0);
    ok(cuMemFree_v2(beside));
    stop_model(&m);
}

/* That was launched once, before there was anything to compare. */
Test(planned, a_function_of_the_first_pass_alone_is_not_trusted)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);

    upload_pointers(&m, POINTERS_HIDDEN);
    for (uint32_t i = 0; i < 16; i++) {
        for (uint32_t k = 0; k < TENSORS; k++) {
            if (k == 1 && (i == 0 || i == 9))
                write_weight(&m, THROUGH_A_POINTER, i ? 3 : TENSORS - 1, 1000 + i);
            read_tensor(&m, k);
        }
        expect_sum(&m);
    }
    cr_expect_eq(stats_get(streaming_ends), 1);
    stop_model(&m);
}

Test(planned, a_program_that_does_not_read_as_planned_is_learned)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);

    for (uint32_t i = 0; i < 12; i++) {
        for (uint32_t k = TENSORS; k-- > 0;)
            read_tensor(&m, k);
        expect_sum(&m);
    }
    cr_expect_eq(stats_get(streaming_plans), 2);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}

Test(planned, memory_that_is_allocated_later_has_the_room_it_was_planned_with)
{
    struct model m = start_planned("28MiB", 28 * MIB, false);
    uint64_t away = stats_get(host_bytes);
    CUdeviceptr buffers;

    pass(&m);
    buffers = alloc(PLANNED_BUFFERS);
    cr_expect_eq(stats_get(host_bytes), away);
    passes(&m, 3);
    cr_expect_eq(stats_get(streaming_ends), 0);
    ok(cuMemFree_v2(buffers));
    stop_model(&m);
}

/* W/(B + H) of 2: of the model's 56 MiB memory takes 28. That is too little for first launches to
 * read in place beside the plan, so that it is learned anew. */
Test(planned, a_model_file_is_read_at_most_once_in_a_pass_and_nothing_is_written)
{
    struct model m = start_planned_file("14MiB", "14MiB", 14 * MIB);
    uint64_t written, read;

    passes(&m, 7);
    cr_expect_geq(stats_get(streaming_plans), 1);
    written = stats_get(bytes_written);
    for (uint32_t i = 0; i < 6; i++) {
        read = stats_get(bytes_read);
        pass(&m);
        expect_sum(&m);
        read = stats_get(bytes_read) - read;
        cr_expect(read > MODEL / 4 && read <= MODEL, "pass %u reads %lu", i, (unsigned long)read);
    }
    cr_expect_eq(stats_get(bytes_written), written);
    cr_expect_leq(written, PAGE, "what was there before is none of the file's");
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}

/* What was there before is none of the file's; the allocation begins on the disk. */
Test(planned, what_is_a_file_of_the_plan_is_not_written_to_the_disk)
{
    struct model m = start_planned_file("18MiB", "24MiB", 18 * MIB);
    uint64_t written = stats_get(bytes_written);

    cr_expect_eq(stats_get(streaming_plans), 1, "before anything was launched");
    passes(&m, 8);
    cr_expect_gt(stats_get(launches_redirected), 0);
    cr_expect_gt(stats_get(bytes_read), 0);
    cr_expect_leq(stats_get(bytes_written) - written, PAGE);
    written = stats_get(bytes_written);
    for (uint32_t i = 0; i < 60; i++)
        read_tensor(&m, i * 5 % TENSORS);
    passes(&m, 4);
    cr_expect_eq(stats_get(bytes_written), written);
    cr_expect_eq(stats_now().illegal_addresses, 0);
    stop_model(&m);
}
