/* SPDX-License-Identifier: MIT */
/*
 * Measuring a simulated card finds what its profile says: virtual time is exact, so what is left of
 * a difference is what the measurement adds.
 */
#include "tools/measure.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

TestSuite(measure, .timeout = 120);

static char said[4096];

static void remember(const char *text)
{
    strncat(said, text, sizeof(said) - strlen(said) - 2);
    strcat(said, "\n");
}

static void measure(const char *profile, const char *memory, struct measured *out)
{
    struct measure_options options = {.seconds = 100000, .disk = "/tmp", .bytes = 8 * MIB};
    struct gpu gpu;
    char why[128];

    setenv("SIM_PROFILE", profile, 1);
    setenv("SIM_VRAM", memory, 1);
    options.tell = remember;
    cr_assert_eq(gpu_open(&gpu, 0, why, sizeof(why)), 0, "%s", why);
    measure_machine(&gpu, &options, out);
    gpu_close(&gpu);
}

/* What tests/sim/profiles/rtx3060.profile and default.profile say (freeing waits for the device
 * too), and what share measuring may be off. */
#define RATES(row)                                                                                 \
    row(h2d, 12.3e9, 0.01) row(d2h, 12.8e9, 0.01) row(link_both, 21e9, 0.1)                        \
        row(pageable, 6e9, 0.01) row(pageable_d2h, 6e9, 0.05) row(d2d, 160e9, 0.06)                \
            row(device_memory, 330e9, 0.01) row(zero_copy, 600, 0.01)                              \
                row(zero_copy_small, 0.6 * 12.3e9, 0.01) row(zero_copy_lines, 0.6 * 12.3e9, 0.01)  \
                    row(zero_copy_units, 0.6 * 12.3e9, 0.01) row(launch_call, 3000, 0.05)          \
                        row(launch_device, 1800, 0.05) row(copy_call, 1500, 0.05)                  \
                            row(copy_latency, 2000, 0.05)
#define PRICES(row)                                                                                \
    row(reserve, 19000, 0) row(create_device, 40000, 1000) row(create_host, 80000, 700000)         \
        row(map, 3000, 0) row(access, 45000, 2000) row(unmap, 32000, 1000) row(release, 30000, 0)  \
            row(allocate, 60000, 500) row(free, 34000, 500) row(pin, 60000, 600000)                \
                row(unpin, 64000, 100000)

static void near(const char *what, double found, double right, double share, double room)
{
    double off = found > right ? found - right : right - found;

    cr_expect(off <= right * share + room, "%s is %g instead of %g", what, found, right);
}

Test(measure, it_finds_what_the_simulated_card_is_and_measures_memory_and_disk)
{
    static struct measured m;

    measure("rtx3060", "512MiB", &m);
    cr_expect_eq(m.left_out, 0, "%s", said);
    cr_expect_str_eq(m.profile.name, "NVIDIA GeForce RTX 3060");
    cr_expect_eq(m.profile.compute_major, 8);
    cr_expect_eq(m.profile.memory, 512 * MIB);
#define RATE(key, right, share)                                                                    \
    cr_expect(profile_has(&m.profile, PROFILE_##key), #key);                                       \
    near(#key, (double)m.profile.key, right, share, 0);
#define PRICE(key, call, each)                                                                     \
    cr_expect(profile_has(&m.profile, PROFILE_##key), #key);                                       \
    near(#key, (double)m.profile.key.ns, call, 0.02, 1000);                                        \
    near(#key " of a MiB", (double)m.profile.key.ns_per_mib, each, 0.02, 50);
    RATES(RATE)
    PRICES(PRICE)
    cr_expect(profile_has(&m.profile, PROFILE_host_memory));
    cr_expect(profile_has(&m.profile, PROFILE_host_memory_all));
    cr_expect(profile_has(&m.profile, PROFILE_spill_read));
    cr_expect(profile_has(&m.profile, PROFILE_spill_write));
}

Test(measure, without_a_card_it_measures_the_rest)
{
    static struct measured m;
    struct measure_options options = {.seconds = 100000, .bytes = 4 * MIB};

    measure_machine(NULL, &options, &m);
    cr_expect_eq(m.left_out, 0);
    cr_expect(profile_has(&m.profile, PROFILE_host_memory));
    cr_expect_not(profile_has(&m.profile, PROFILE_h2d));
    cr_expect_not(profile_has(&m.profile, PROFILE_spill_read));
}

Test(measure, without_host_memory_to_map_it_reads_pinned_memory)
{
    static struct measured m;

    setenv("SIM_HOST_VMM", "none", 1);
    measure("rtx3060", "64MiB", &m);
    cr_expect_eq(m.left_out, 0, "%s", said);
    near("zero_copy", (double)m.profile.zero_copy, 600, 0.01, 0);
    cr_expect_not(profile_has(&m.profile, PROFILE_create_host));
}

Test(measure, a_part_that_fails_is_left_out_and_named)
{
    static struct measured m;

    setenv("SIM_FAIL", "cuMemHostAlloc:1:2", 1);
    measure("rtx3060", "64MiB", &m);
    cr_expect_eq(m.left_out, 1, "%s", said);
    cr_expect(strstr(said, "cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY"), "%s", said);
    cr_expect(strstr(said, "the link: left out"), "%s", said);
    cr_expect_not(profile_has(&m.profile, PROFILE_h2d));
    cr_expect(profile_has(&m.profile, PROFILE_device_memory));
}

Test(measure, when_no_time_is_left_no_part_is_begun)
{
    static struct measured m;
    struct measure_options options = {.seconds = 0, .tell = remember};

    measure_machine(NULL, &options, &m);
    cr_expect_eq(m.left_out, 2);
    cr_expect(strstr(said, "no time is left"), "%s", said);
}
