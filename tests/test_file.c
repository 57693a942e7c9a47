/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "runtime/file.h"

Test(file, is_read_up_to_its_end)
{
    FILE *file = tmpfile();
    char text[16];
    size_t n = 0;

    cr_assert_not_null(file);
    fputs("eight by", file);
    rewind(file);
    cr_expect_eq(file_read(fileno(file), text, 5, &n), 0);
    cr_expect_eq(n, 5);
    cr_expect_eq(file_read(fileno(file), text + 5, sizeof(text) - 5, &n), 0);
    cr_expect_eq(n, 3);
    cr_expect_arr_eq(text, "eight by", 8);
    cr_expect_lt(file_read(-1, text, 1, &n), 0);
    fclose(file);
}

Test(file, of_a_file_system_without_direct_reads_is_told)
{
    cr_expect_not(file_is_direct("/proc/self/status", O_RDONLY));
    cr_expect(file_is_direct("/no/such/file", O_RDONLY), "what cannot be tried is not blamed");
}
