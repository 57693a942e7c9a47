/* SPDX-License-Identifier: MIT */
#include "planner/source.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "planner/gguf.h"
#include "runtime/util.h"

static char path[] = "/tmp/vramshim-test-source-XXXXXX";

/* A file of so many bytes, of which the first is 'a'. */
static void make_file(off_t bytes)
{
    int fd;

    strcpy(path + sizeof(path) - 7, "XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, "a", 1), 1);
    cr_assert_eq(ftruncate(fd, bytes), 0);
    close(fd);
}

static struct source open_file(off_t bytes)
{
    struct source source;
    char error[256];

    make_file(bytes);
    cr_assert_eq(source_open(path, error, sizeof(error), &source), 0, "%s", error);
    return source;
}

Test(source, reads_no_more_than_somebody_asked_for)
{
    struct source source = open_file((off_t)1 << 40);

    cr_expect_eq(source.filled, 0);
    cr_expect_eq(source_fill(&source, 1), 0);
    cr_expect_eq(source.head[0], 'a');
    cr_expect_leq(source.filled, 1 << 20);
    cr_expect_eq(source_fill(&source, (uint64_t)SOURCE_MAX_HEAD + 1), -EFBIG);
    cr_expect_eq(source_fill(&source, ((uint64_t)1 << 40) + 1), -ENODATA);
    source_fini(&source);
    unlink(path);
}

Test(source, survives_a_file_that_becomes_shorter)
{
    struct source source = open_file(1 << 20);
    uint8_t byte;

    cr_expect_eq(source_fill(&source, 1), 0);
    cr_assert_eq(truncate(path, 4), 0);
    cr_expect_eq(source.head[0], 'a');
    cr_expect_eq(source_fill(&source, 1 << 20), -ENODATA);
    cr_expect_eq(source_read(&source, 0, &byte, 1), -ESTALE);
    source_fini(&source);
    unlink(path);
}

Test(source, reads_data_of_the_file_that_was_opened)
{
    struct source source = open_file(100);
    uint8_t bytes[100];

    source_close(&source);
    cr_expect_eq(source_read(&source, 0, bytes, 100), 0);
    cr_expect_eq(bytes[0], 'a');
    cr_expect_eq(source_read(&source, 1, bytes, 100), -ENODATA);
    cr_expect_eq(source_read(&source, UINT64_MAX, bytes, 2), -ENODATA);
    unlink(path);
    cr_expect_eq(source_read(&source, 0, bytes, 1), -ENOENT);
    source_fini(&source);
}

Test(source, says_what_a_file_is_that_is_no_model)
{
    static const struct {
        const char *path, *start, *says;
    } rows[] = {
        {"m", "version https://git-lfs.github.com/spec/v1", "Git LFS pointer"},
        {"m", "<html>", "web page"},
        {"m", "\r\n<!DOCTYPE", "web page"},
        {"m", "{\"error\":\"Invalid credentials\"}", "server's error message"},
        {"m", "PK\x03\x04", "zip file, as PyTorch pickles are"},
        {"m", "\x80\x02}q", "Python pickle"},
        {"m", "\x1f\x8b", "gzip file"},
        {"m", "\x28\xb5\x2f\xfd", "zstd file"},
        {"m", "\x89HDF\r\n", "HDF5"},
        {"m.part", "xxxxxxxx", "not finished"},
        {"m.gguf", "xxxxxxxx", NULL},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *says = source_guess(rows[i].path, rows[i].start, strlen(rows[i].start));

        if (rows[i].says)
            cr_expect(says && strstr(says, rows[i].says), "%s: %s", rows[i].says, says);
        else
            cr_expect_null(says);
    }
}
