/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/log.h"

static char directory[64];

static void enter_directory(void)
{
    strcpy(directory, "/tmp/test-log-XXXXXX");
    cr_assert_not_null(mkdtemp(directory));
    cr_assert_eq(chdir(directory), 0);
}

static void leave_directory(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    cr_assert_eq(system(command), 0);
}

TestSuite(log, .init = enter_directory, .fini = leave_directory);

/* The file's text, in a buffer that the next call reuses; "" when there is no such file. */
static const char *text_of(const char *name)
{
    static char text[65536];
    FILE *file = fopen(name, "r");

    text[0] = '\0';
    if (file) {
        text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
        fclose(file);
    }
    return text;
}

Test(log, writes_one_prefixed_line_per_message)
{
    log_setup(LOG_DEBUG, "out");
    log_error("pool is broken; memory stays native");
    log_warn("budget %d", 7);
    log_info("card 0");
    log_debug("range 1");
    cr_assert_str_eq(text_of("out"), "vramshim: error: pool is broken; memory stays native\n"
                                     "vramshim: warning: budget 7\n"
                                     "vramshim: card 0\n"
                                     "vramshim: debug: range 1\n");
}

Test(log, leaves_out_what_is_below_the_threshold)
{
    for (enum log_level level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        log_setup(level, "out");
        for (enum log_level message = LOG_ERROR; message <= LOG_DEBUG; message++)
            cr_expect_eq(log_enabled(message), message <= level);
    }
    log_setup(LOG_WARN, "quiet");
    log_info("unseen");
    cr_assert_str_eq(text_of("quiet"), "");
}

Test(log, cuts_a_long_message_into_one_line)
{
    static char long_text[5000];
    const char *text;

    memset(long_text, 'x', sizeof(long_text) - 1);
    log_setup(LOG_WARN, "out");
    log_warn("%s", long_text);
    text = text_of("out");
    cr_assert_leq(strlen(text), 1024);
    cr_assert_eq(strchr(text, '\n'), text + strlen(text) - 1);
}

Test(log, does_not_let_a_value_forge_a_line_or_drive_the_terminal)
{
    log_setup(LOG_WARN, "out");
    log_warn("name %s", "a\nvramshim: error: b\033[31m");
    cr_assert_str_eq(text_of("out"), "vramshim: warning: name a?vramshim: error: b?[31m\n");
}

Test(log, puts_the_process_id_where_the_name_says_so_also_after_fork)
{
    char name[64];
    pid_t child;

    log_setup(LOG_WARN, "out.%p.log");
    child = fork();
    if (child == 0) {
        log_warn("from the child");
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    snprintf(name, sizeof(name), "out.%d.log", (int)child);
    cr_assert_str_eq(text_of(name), "vramshim: warning: from the child\n");
    snprintf(name, sizeof(name), "out.%d.log", (int)getpid());
    cr_assert_str_eq(text_of(name), "");
}

Test(log, stays_with_its_file_when_the_program_changes_directory)
{
    char name[128];

    log_setup(LOG_WARN, "out");
    cr_assert_eq(chdir("/"), 0);
    log_warn("still here");
    snprintf(name, sizeof(name), "%s/out", directory);
    cr_assert_str_eq(text_of(name), "vramshim: warning: still here\n");
}

Test(log, survives_a_program_that_closes_every_descriptor)
{
    pid_t child;

    log_setup(LOG_WARN, "out");
    child = fork();
    if (child == 0) {
        close_range(3, ~0u, 0);
        log_warn("still here");
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_str_eq(text_of("out"), "vramshim: warning: still here\n");
}

Test(log, says_so_on_standard_error_when_the_file_cannot_be_written)
{
    cr_assert_not_null(freopen("stderr", "w", stderr));
    log_setup(LOG_WARN, "missing/out");
    log_warn("next");
    cr_assert_str_eq(text_of("stderr"),
                     "vramshim: warning: cannot write to log file missing/out: No such file or "
                     "directory; writing to standard error\n"
                     "vramshim: warning: next\n");
}

Test(log, leaves_errno_and_standard_output_alone)
{
    fflush(stdout);
    cr_assert_not_null(freopen("stdout", "w", stdout));
    cr_assert_not_null(freopen("stderr", "w", stderr));
    errno = EXDEV;
    log_setup(LOG_DEBUG, "missing/out");
    log_error("one");
    log_debug("two");
    cr_assert_eq(errno, EXDEV);
    fflush(stdout);
    cr_assert_str_eq(text_of("stdout"), "");
}
