/* SPDX-License-Identifier: MIT */
/* Profiles: every kind of value, what is refused and where, whose files are read. */
#include "runtime/profile.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/util.h"

TestSuite(profile, .timeout = 30);

static int parse(const char *text, struct profile *out)
{
    unsigned int line;
    char word[64];

    memset(out, 0, sizeof(*out));
    return profile_parse(out, text, &line, word, sizeof(word));
}

Test(profile, it_understands_every_kind_of_value)
{
    struct profile p;

    cr_assert_eq(parse("name A card # not its price\n memory 12GiB\ncompute_major 9\r\n"
                       "launch_call 2.5us\nh2d 12.3GB/s\nzero_copy 66.5%\nmap 2us 1.5ns",
                       &p),
                 0);
    cr_expect_str_eq(p.name, "A card");
    cr_expect_eq(p.memory, 12 * GIB);
    cr_expect_eq(p.compute_major, 9);
    cr_expect_eq(p.launch_call, 2500);
    cr_expect_eq(p.h2d, 12300000000);
    cr_expect_eq(p.zero_copy, 665);
    cr_expect_eq(p.map.ns, 2000);
    cr_expect_eq(p.map.ns_per_mib, 2);
    cr_expect(profile_has(&p, PROFILE_h2d));
    cr_expect_not(profile_has(&p, PROFILE_d2h));
}

Test(profile, what_it_cannot_understand_it_refuses)
{
    static const char *const lines[] = {
        "h2d",
        "h2d 12",
        "h2d 0GB/s",
        "h2d -1GB/s",
        "h2d 1GB/s 2",
        "speed 3",
        "memory much",
        "memory 8GiBs",
        "zero_copy 0%",
        "zero_copy 101%",
        "map 2us",
        "map 2us 1 2",
        "map 2us 1us 1us",
        "call 1.2.3us",
        "call .us",
        "call 5 us",
        "name",
        "call 1e3ns",
        "call 0x10ns",
        "call nanns",
        "memory 99999999999TiB",
        "call 12345678901234567890ns",
        "call 1,5us",
    };
    struct profile p;

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        cr_expect_eq(parse(lines[i], &p), -EINVAL, "%s", lines[i]);
        cr_expect_eq(p.told, 0, "%s", lines[i]);
    }
}

Test(profile, it_names_the_line)
{
    struct profile p = {0};
    unsigned int line;
    char word[64];

    cr_assert_eq(profile_parse(&p, "\n# x\nh2d 1GB/s\n  map 3us \n", &line, word, sizeof(word)),
                 -EINVAL);
    cr_expect_eq(line, 4);
    cr_expect_str_eq(word, "map 3us");
}

/* Values that have no exact short form lose less than a thousandth. */
Test(profile, what_it_prints_it_reads_again)
{
    static const char text[] = "name A card\nmemory 12288MiB\ncompute_major 9\nlaunch_call 2.5us\n"
                               "h2d 12.3GB/s\nd2d 4TB/s\nzero_copy 66.5%\nmap 2us 1ns\n"
                               "unpin 1ms 20us\nspill_read 999.999MB/s\n";
    struct profile p;
    char *printed;
    size_t size;
    FILE *out = open_memstream(&printed, &size);

    cr_assert_eq(parse(text, &p), 0);
    profile_print(&p, out);
    fclose(out);
    cr_expect_str_eq(printed, text);
    free(printed);
}

Test(profile, numbers_have_a_point_in_every_locale)
{
    static const char *const names[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8"};
    struct profile p;
    bool found = false;

    for (size_t i = 0; i < ARRAY_SIZE(names) && !found; i++)
        found = setlocale(LC_ALL, names[i]) && *localeconv()->decimal_point == ',';
    if (!found)
        cr_skip_test("no locale with a decimal comma here");
    cr_expect_eq(parse("h2d 12.3GB/s", &p), 0);
    cr_expect_eq(p.h2d, 12300000000);
}

static void write_file(char path[], const char *text)
{
    int fd;

    strcpy(path, "/tmp/profile-XXXXXX");
    fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

Test(profile, a_file_adds_to_what_is_known)
{
    struct profile p = {.d2h = 7};
    char path[32], error[256];

    write_file(path, "h2d 1GB/s\n");
    cr_expect_eq(profile_read(path, &p, error, sizeof(error)), 0);
    cr_expect_eq(p.h2d, 1000000000);
    cr_expect_eq(p.d2h, 7);
    unlink(path);
    cr_expect_eq(profile_read(path, &p, error, sizeof(error)), -ENOENT);
}

Test(profile, a_bad_file_changes_nothing_and_its_line_is_named)
{
    struct profile p = {0};
    char path[32], error[256];

    write_file(path, "h2d 1GB/s\nspeed 3\n");
    cr_expect_eq(profile_read(path, &p, error, sizeof(error)), -EINVAL);
    cr_expect(strstr(error, "line 2: \"speed 3\""), "%s", error);
    cr_expect_eq(p.told, 0);
    unlink(path);
}

Test(profile, a_file_that_others_could_have_written_is_not_read)
{
    struct profile p = {0};
    char path[32], error[256];

    write_file(path, "h2d 1GB/s\n");
    chmod(path, 0666);
    cr_expect_eq(profile_read(path, &p, error, sizeof(error)), -EPERM);
    cr_expect(strstr(error, "chmod o-w"), "%s", error);
    chmod(path, 0644);
    if (geteuid() == 0) {
        cr_assert_eq(chown(path, 1, 1), 0);
        cr_expect_eq(profile_read(path, &p, error, sizeof(error)), -EPERM);
        cr_expect(strstr(error, "another user"), "%s", error);
    }
    unlink(path);
}

Test(profile, a_folder_a_pipe_and_a_long_file_are_no_profiles)
{
    struct profile p = {0};
    char path[32], error[256];

    cr_expect_eq(profile_read("/tmp", &p, error, sizeof(error)), -EINVAL);
    strcpy(path, "/tmp/profile-XXXXXX");
    close(mkstemp(path));
    unlink(path);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(profile_read(path, &p, error, sizeof(error)), -EINVAL);
    unlink(path);
    write_file(path, "#\n");
    cr_assert_eq(truncate(path, 1 << 20), 0);
    cr_expect_eq(profile_read(path, &p, error, sizeof(error)), -EINVAL);
    unlink(path);
}

Test(profile, it_is_looked_for_where_settings_are)
{
    char path[64], small[8];

    setenv("XDG_CONFIG_HOME", "/x", 1);
    cr_expect(profile_path(path, sizeof(path)));
    cr_expect_str_eq(path, "/x/vramshim/profile");
    cr_expect_not(profile_path(small, sizeof(small)));
    setenv("XDG_CONFIG_HOME", "relative", 1);
    setenv("HOME", "/h", 1);
    cr_expect(profile_path(path, sizeof(path)));
    cr_expect_str_eq(path, "/h/.config/vramshim/profile");
    unsetenv("HOME");
    cr_expect_not(profile_path(path, sizeof(path)));
}

Test(profile, a_price_grows_with_size)
{
    struct price price = {.ns = 100, .ns_per_mib = 10};

    cr_expect_eq(price_at(&price, 0), 100);
    cr_expect_eq(price_at(&price, 16 * MIB), 260);
}
