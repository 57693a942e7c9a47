/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/host_memory.h"
#include "runtime/util.h"

/* A made-up machine: files below a directory of its own. */
static char root[64];

static void make_machine(void)
{
    strcpy(root, "/tmp/test-host-memory-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static void remove_machine(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(host_memory, .init = make_machine, .fini = remove_machine);

static void put(const char *name, const char *text)
{
    char command[512];
    char path[256];
    FILE *file;

    snprintf(command, sizeof(command), "mkdir -p \"$(dirname '%s%s')\"", root, name);
    cr_assert_eq(system(command), 0);
    snprintf(path, sizeof(path), "%s%s", root, name);
    file = fopen(path, "w");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
}

static const char meminfo[] = "MemTotal:       67108864 kB\n"
                              "MemFree:         1048576 kB\n"
                              "MemAvailable:   33554432 kB\n"
                              "MemAvailableX:         1 kB\n";

static const char unified_mount[] =
    "22 28 0:21 / /proc rw,nosuid - proc proc rw\n"
    "35 34 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";

static const char legacy_mounts[] =
    "35 34 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
    "36 34 0:31 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

Test(host_memory, reads_fields_with_and_without_a_unit)
{
    uint64_t value = 77;

    cr_expect(host_memory_parse_field("MemAvailable:   2 kB\n", "MemAvailable", &value));
    cr_expect_eq(value, 2048);
    cr_expect(host_memory_parse_field("inactive_file 4096\n", "inactive_file", &value));
    cr_expect_eq(value, 4096);
    cr_expect_not(host_memory_parse_field("inactive_file_x 1\n", "inactive_file", &value));
    cr_expect_not(host_memory_parse_field("MemAvailable: lots\n", "MemAvailable", &value));
    cr_expect_not(host_memory_parse_field("Mem", "MemAvailable", &value));
    cr_expect_not(
        host_memory_parse_field("MemAvailable: 18446744073709551615 kB", "MemAvailable", &value));
    cr_expect_eq(value, 4096);
}

Test(host_memory, reads_limits)
{
    uint64_t value = 77;

    cr_expect_not(host_memory_parse_limit("", &value));
    cr_expect_not(host_memory_parse_limit("-1\n", &value));
    cr_expect_not(host_memory_parse_limit("12 apples\n", &value));
    cr_expect_eq(value, 77);
    cr_expect(host_memory_parse_limit("max\n", &value) && value == UINT64_MAX);
    cr_expect(host_memory_parse_limit("1073741824\n", &value) && value == GIB);
}

Test(host_memory, finds_the_group_of_either_version)
{
    static const struct {
        const char *line;
        const char *unified;
        const char *legacy;
    } cases[] = {
        {"0::/user.slice/a", "/user.slice/a", NULL},
        {"4:memory:/box", NULL, "/box"},
        {"4:cpu,memory:/box", NULL, "/box"},
        {"4:memoryx:/box", NULL, NULL},
        {"1:name=systemd:/a:b", NULL, NULL},
        {"", NULL, NULL},
        {"4:memory", NULL, NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *path = NULL;

        cr_expect_eq(host_memory_parse_cgroup(cases[i].line, true, &path), cases[i].unified != NULL,
                     "%s", cases[i].line);
        if (cases[i].unified)
            cr_expect_str_eq(path, cases[i].unified);
        cr_expect_eq(host_memory_parse_cgroup(cases[i].line, false, &path), cases[i].legacy != NULL,
                     "%s", cases[i].line);
        if (cases[i].legacy)
            cr_expect_str_eq(path, cases[i].legacy);
    }
}

Test(host_memory, finds_where_a_hierarchy_is_mounted)
{
    struct host_memory_mount mount;

    cr_assert(host_memory_parse_mount(strchr(unified_mount, '\n') + 1, true, &mount));
    cr_assert_str_eq(mount.point, "/sys/fs/cgroup");
    cr_assert_str_eq(mount.top, "/");
    cr_assert_not(host_memory_parse_mount(unified_mount, true, &mount));
    cr_assert_not(host_memory_parse_mount(legacy_mounts, false, &mount));
    cr_assert(host_memory_parse_mount(strchr(legacy_mounts, '\n') + 1, false, &mount));
    cr_assert_str_eq(mount.point, "/sys/fs/cgroup/memory");
    cr_assert_str_eq(mount.top, "/box");
    cr_assert_not(host_memory_parse_mount("junk", true, &mount));
}

Test(host_memory, is_what_the_kernel_calls_available_without_groups)
{
    put("/proc/meminfo", meminfo);
    cr_assert_eq(host_memory_available(root), 32 * GIB);
    cr_assert_eq(host_memory_total(root), 64 * GIB);
}

Test(host_memory, is_zero_when_the_kernel_does_not_say)
{
    cr_assert_eq(host_memory_available(root), 0);
    cr_assert_eq(host_memory_total(root), 0);
}

Test(host_memory, ignores_groups_without_a_limit)
{
    put("/proc/meminfo", meminfo);
    put("/proc/self/cgroup", "0::/user\n");
    put("/proc/self/mountinfo", unified_mount);
    put("/sys/fs/cgroup/user/memory.max", "max\n");
    put("/sys/fs/cgroup/user/memory.current", "99999999999\n");
    cr_assert_eq(host_memory_available(root), 32 * GIB);
}

Test(host_memory, counts_what_a_group_uses_less_what_it_can_drop)
{
    put("/proc/meminfo", meminfo);
    put("/proc/self/cgroup", "0::/user\n");
    put("/proc/self/mountinfo", unified_mount);
    put("/sys/fs/cgroup/user/memory.max", "8589934592\n");
    put("/sys/fs/cgroup/user/memory.current", "3221225472\n");
    put("/sys/fs/cgroup/user/memory.stat", "anon 5\ninactive_file 1073741824\nactive_file 7\n");
    cr_assert_eq(host_memory_available(root), 6 * GIB);
}

Test(host_memory, takes_the_tightest_of_all_ancestors)
{
    put("/proc/meminfo", meminfo);
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/proc/self/mountinfo", unified_mount);
    put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    put("/sys/fs/cgroup/a/memory.high", "4294967296\n");
    put("/sys/fs/cgroup/a/memory.max", "8589934592\n");
    put("/sys/fs/cgroup/a/memory.current", "1073741824\n");
    cr_assert_eq(host_memory_available(root), 3 * GIB);
}

Test(host_memory, is_zero_in_a_group_that_is_full)
{
    put("/proc/meminfo", meminfo);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", unified_mount);
    put("/sys/fs/cgroup/memory.max", "1073741824\n");
    put("/sys/fs/cgroup/memory.current", "2147483648\n");
    cr_assert_eq(host_memory_available(root), 0);
}

Test(host_memory, knows_the_first_version_of_control_groups)
{
    put("/proc/meminfo", meminfo);
    put("/proc/self/cgroup", "4:memory:/box/job\n0::/\n");
    put("/proc/self/mountinfo", legacy_mounts);
    put("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "9223372036854771712\n");
    put("/sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "8589934592\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "3221225472\n");
    put("/sys/fs/cgroup/memory/memory.stat", "inactive_file 1\ntotal_inactive_file 1073741824\n");
    cr_assert_eq(host_memory_available(root), 6 * GIB);
}

Test(host_memory, uses_the_mount_point_when_the_path_is_not_below_it)
{
    put("/proc/meminfo", meminfo);
    put("/proc/self/cgroup", "4:memory:/elsewhere/job\n");
    put("/proc/self/mountinfo", legacy_mounts);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1073741824\n");
    cr_assert_eq(host_memory_available(root), GIB);
}

Test(host_memory, gives_a_plausible_answer_on_this_machine)
{
    uint64_t available = host_memory_available("");

    cr_assert_gt(available, 0);
    cr_assert_leq(available, host_memory_total(""));
}
