/* SPDX-License-Identifier: MIT */
/* Device profiles: what they say of a card, and what is refused. */
#include "tests/sim_test.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(sim_profile, .timeout = 30);

Test(sim_profile, it_says_what_the_card_is)
{
    char name[64];
    size_t bytes;
    int major;

    setenv("SIM_PROFILE", "rtx3060", 1);
    unsetenv("SIM_VRAM");
    start();
    ok(cuDeviceGetName(name, sizeof(name), 0));
    cr_expect_str_eq(name, "NVIDIA GeForce RTX 3060");
    ok(cuDeviceTotalMem_v2(&bytes, 0));
    cr_expect_eq(bytes, 12 * GIB);
    ok(cuDeviceGetAttribute(&major, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 0));
    cr_expect_eq(major, 8);
}

/* What a process says and how it ends that starts with such a profile. */
static int start_with(const char *profile, char *said, size_t size)
{
    int ends[2];
    ssize_t n;
    pid_t pid;
    int status;

    cr_assert_eq(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDERR_FILENO);
        setenv("SIM_PROFILE", profile, 1);
        _exit(cuInit(0) == CUDA_SUCCESS ? 0 : 1);
    }
    close(ends[1]);
    n = read(ends[0], said, size - 1);
    said[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int start_with_text(const char *text, char *said, size_t size)
{
    char path[] = "/tmp/profile-XXXXXX";
    int fd = mkstemp(path);
    int status;

    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    status = start_with(path, said, size);
    unlink(path);
    return status;
}

Test(sim_profile, every_one_that_is_built_in_is_understood)
{
    static const char *const names[] = {"default", "h200", "rtx4090", "rtx3060", "rtx4060ti"};
    char said[256];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        cr_expect_eq(start_with(names[i], said, sizeof(said)), 0, "%s: %s", names[i], said);
}

Test(sim_profile, what_cannot_be_understood_ends_the_process_with_its_line)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {"h2d 1GB/s\nspeed 3\n", "line 2: \"speed 3\""},
        {"h2d 12\n", "line 1: \"h2d 12\""},
        {"# a comment\n\nmap 3us\n", "line 3: \"map 3us\""},
        {"h2d 0GB/s\n", "line 1"},
        {"zero_copy 120%\n", "line 1"},
        {"launch_call -3us\n", "line 1"},
        {"memory much\n", "line 1"},
        {"name\n", "line 1"},
    };
    char said[512];

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        cr_expect_eq(start_with_text(cases[i].text, said, sizeof(said)), 2, "%s", cases[i].text);
        cr_expect(strstr(said, cases[i].says), "%s says %s", cases[i].text, said);
    }
}

Test(sim_profile, one_that_is_nowhere_ends_the_process)
{
    char said[512];

    cr_expect_eq(start_with("/nowhere/profile", said, sizeof(said)), 2);
    cr_expect(strstr(said, "SIM_PROFILE"));
}
