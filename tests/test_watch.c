/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/log.h"
#include "runtime/watch.h"

static char path[64];

static void write_into_a_file(void)
{
    strcpy(path, "/tmp/test-watch-XXXXXX");
    close(mkstemp(path));
    log_setup(LOG_WARN, path);
    watch_set_stall(40);
}

static void remove_the_file(void)
{
    unlink(path);
}

TestSuite(watch, .init = write_into_a_file, .fini = remove_the_file);

/* What has been said, within a while. */
static const char *said(const char *words)
{
    static char text[4096];

    for (int i = 0; i < 500; i++) {
        FILE *file = fopen(path, "r");

        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
        if (strstr(text, words))
            break;
        usleep(10000);
    }
    return text;
}

static uint32_t times(const char *text, const char *words)
{
    uint32_t n = 0;

    while ((text = strstr(text, words))) {
        text++;
        n++;
    }
    return n;
}

Test(watch, a_wait_that_does_not_end_is_told_once_and_so_is_its_end)
{
    struct watch watch;
    const char *text;

    watch_begin(&watch, "for the device");
    text = said("for the device");
    cr_assert(strstr(text, "for the device"), "nothing is said");
    cr_expect(strstr(text, "VRAMSHIM_ENGINE=none"), "%s", text);
    usleep(150000);
    cr_expect_eq(times(said("for the device"), "for the device"), 1);
    watch_end(&watch);
    cr_expect(strstr(said("waits no longer"), "waits no longer"));
}

Test(watch, short_waits_are_not_worth_a_word)
{
    for (int i = 0; i < 20; i++)
        cr_expect_eq(WATCHED("for nothing", usleep(5000)), 0);
    cr_expect_eq(times(said(""), "for nothing"), 0);
}

Test(watch, the_child_of_a_fork_looks_on_by_itself)
{
    struct watch watch;
    pid_t child;
    int status;

#ifdef __SANITIZE_THREAD__
    cr_skip_test("TSan takes no new thread after the fork of a process with threads");
#endif
    watch_begin(&watch, "for the parent");
    child = fork();
    if (child == 0) {
        watch_reset();
        watch_begin(&watch, "for the child");
        _exit(!strstr(said("for the child"), "for the child"));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_expect_eq(status, 0);
    watch_end(&watch);
}
