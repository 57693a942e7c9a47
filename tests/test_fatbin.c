/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>

#include "runtime/fatbin.h"
#include "runtime/util.h"
#include "tests/data/data.h"

/* As nvcc lays it down in programs. */
struct wrapper {
    uint32_t magic;
    uint32_t version;
    const void *data;
    const void *unused;
};

struct visits {
    unsigned int n;
    unsigned int archs[8];
    int stop_with;
};

static int visit(void *context, const struct fatbin_image *image)
{
    struct visits *visits = context;

    cr_assert_lt(visits->n, ARRAY_SIZE(visits->archs));
    visits->archs[visits->n++] = image->arch;
    cr_expect_arr_eq(image->data, "\177ELF", 4);
    return visits->stop_with;
}

static struct visits walk(const struct data *fatbin, unsigned int arch)
{
    struct visits visits = {0};

    cr_assert_eq(fatbin_walk(fatbin->at, fatbin->bytes, arch, visit, &visits), 0);
    return visits;
}

Test(fatbin, visits_the_image_of_the_device_or_else_all)
{
    static const struct {
        unsigned int asked, n, archs[2];
    } cases[] = {
        {75, 1, {75}},
        {90, 1, {90}},
        {0, 2, {75, 90}},
        {86, 2, {75, 90}},
    };
    struct data fatbin = data_load("pair.fatbin");

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct visits visits = walk(&fatbin, cases[i].asked);

        cr_assert_eq(visits.n, cases[i].n, "asked for %u", cases[i].asked);
        for (unsigned int j = 0; j < visits.n; j++)
            cr_expect_eq(visits.archs[j], cases[i].archs[j], "asked for %u", cases[i].asked);
    }
    data_free(&fatbin);
}

Test(fatbin, stops_where_the_visitor_says_so)
{
    struct data fatbin = data_load("pair.fatbin");
    struct visits visits = {.stop_with = -ENOMEM};

    cr_expect_eq(fatbin_walk(fatbin.at, fatbin.bytes, 0, visit, &visits), -ENOMEM);
    cr_expect_eq(visits.n, 1);
    data_free(&fatbin);
}

Test(fatbin, skips_compressed_images)
{
    static const char *const names[] = {"pair.zstd.fatbin", "pair.lz4.fatbin"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct data fatbin = data_load(names[i]);

        cr_expect_eq(walk(&fatbin, 0).n, 0, "%s", names[i]);
        cr_expect_eq(walk(&fatbin, 90).n, 0, "%s", names[i]);
        data_free(&fatbin);
    }
}

Test(fatbin, is_opened_directly_and_through_its_wrapper)
{
    struct data fatbin = data_load("pair.fatbin");
    struct wrapper wrapper = {0x466243b1, 1, fatbin.at, NULL};
    static const char ptx[] = ".version 6.3\n.target sm_75\n";

    cr_expect_eq(fatbin_open(fatbin.at, fatbin.bytes), fatbin.at);
    cr_expect_eq(fatbin_open(&wrapper, sizeof(wrapper)), fatbin.at);
    cr_expect_null(fatbin_open(&wrapper, sizeof(wrapper) - 1));
    cr_expect_null(fatbin_open(ptx, sizeof(ptx)));
    cr_expect_null(fatbin_open(NULL, 0));
    data_free(&fatbin);
}

Test(fatbin, tells_its_size)
{
    struct data fatbin = data_load("pair.fatbin");

    cr_expect_eq(fatbin_bytes(fatbin.at, fatbin.bytes), fatbin.bytes);
    cr_expect_eq(fatbin_bytes(fatbin.at, SIZE_MAX), fatbin.bytes);
    cr_expect_eq(fatbin_bytes(fatbin.at, fatbin.bytes - 1), 0);
    data_free(&fatbin);
}

/* The whole of each image is read, so that an overrun shows. */
static int sum_bytes(void *context, const struct fatbin_image *image)
{
    for (size_t i = 0; i < image->bytes; i++)
        *(unsigned int *)context += ((const unsigned char *)image->data)[i];
    return 0;
}

Test(fatbin, bears_being_cut_anywhere)
{
    struct data fatbin = data_load("pair.fatbin");
    unsigned int sum = 0;

    for (size_t bytes = 0; bytes < fatbin.bytes; bytes++) {
        struct data cut = data_cut(&fatbin, bytes);

        cr_assert_eq(fatbin_bytes(cut.at, bytes), 0);
        cr_assert_eq(fatbin_walk(cut.at, bytes, 0, sum_bytes, &sum), 0);
        data_free(&cut);
    }
    cr_expect_eq(sum, 0);
    data_free(&fatbin);
}

/* A container cut short whose header says that it is not. */
Test(fatbin, bears_entries_that_do_not_fit)
{
    struct data fatbin = data_load("pair.fatbin");
    unsigned int sum = 0;

    for (size_t bytes = 16; bytes < fatbin.bytes; bytes++) {
        struct data cut = data_cut(&fatbin, bytes);
        uint64_t entries = bytes - 16;

        memcpy(cut.at + 8, &entries, sizeof(entries));
        cr_assert_eq(fatbin_walk(cut.at, bytes, 0, sum_bytes, &sum), 0);
        data_free(&cut);
    }
    cr_expect_gt(sum, 0);
    data_free(&fatbin);
}

Test(fatbin, bears_any_byte_being_wrong)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};
    struct data fatbin = data_load("pair.fatbin");
    unsigned int sum = 0;

    for (size_t at = 0; at < fatbin.bytes; at++) {
        for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
            fatbin.at[at] ^= masks[i];
            cr_assert_eq(fatbin_walk(fatbin.at, fatbin.bytes, 75, sum_bytes, &sum), 0);
            fatbin.at[at] ^= masks[i];
        }
    }
    cr_expect_gt(sum, 0);
    data_free(&fatbin);
}
