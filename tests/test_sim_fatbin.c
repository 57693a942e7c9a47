/* SPDX-License-Identifier: MIT */
/*
 * Fatbins as the simulated driver reads them: those that nvcc made (tests/data), and some put
 * together here, entry by entry.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <lz4.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "runtime/util.h"
#include "tests/data/data.h"
#include "tests/sim/fatbin.h"

enum packing { PLAIN, LZ4, ZSTD };

struct entry {
    uint16_t kind;
    uint16_t version;
    uint32_t header_bytes;
    uint64_t payload_bytes;
    uint32_t packed_bytes;
    uint32_t extra_offset;
    uint16_t minor;
    uint16_t major;
    uint32_t arch;
    uint32_t name_offset;
    uint32_t name_length;
    uint64_t flags;
    uint64_t reserved;
    uint64_t unpacked_bytes;
};

struct container {
    size_t bytes;
    uint8_t *at;
};

static struct container container_new(void)
{
    struct container made = {.bytes = 16, .at = calloc(1, 16)};
    const uint32_t magic = 0xba55ed50;
    const uint16_t header = 16;

    memcpy(made.at, &magic, 4);
    memcpy(made.at + 6, &header, 2);
    return made;
}

/* The entry's place, to be damaged; valid until the next is added. */
static struct entry *container_add(struct container *made, uint16_t kind, uint32_t arch,
                                   enum packing packing, const char *text)
{
    size_t plain = strlen(text) + 1;
    size_t room = plain + 1024;
    uint8_t *payload = calloc(1, room);
    struct entry entry = {.kind = kind, .version = 0x0101, .header_bytes = 64, .arch = arch};
    size_t packed = plain;
    uint64_t all;

    if (packing == ZSTD)
        packed = ZSTD_compress(payload, room, text, plain, 3);
    else if (packing == LZ4)
        packed = (size_t)LZ4_compress_default(text, (char *)payload, (int)plain, (int)room);
    else
        memcpy(payload, text, plain);
    if (packing != PLAIN) {
        entry.flags = packing == ZSTD ? 0x8000 : 0x2000;
        entry.packed_bytes = (uint32_t)packed;
        entry.unpacked_bytes = plain;
    }
    entry.payload_bytes = align_up(packed, 8);
    made->at = realloc(made->at, made->bytes + sizeof(entry) + entry.payload_bytes);
    memcpy(made->at + made->bytes, &entry, sizeof(entry));
    memcpy(made->at + made->bytes + sizeof(entry), payload, entry.payload_bytes);
    made->bytes += sizeof(entry) + entry.payload_bytes;
    all = made->bytes - 16;
    memcpy(made->at + 8, &all, 8);
    free(payload);
    return (struct entry *)(made->at + made->bytes - sizeof(entry) - entry.payload_bytes);
}

static const char text[] = ".version 6.3\n.target sm_75\n.address_size 64\n"
                           ".visible .entry empty()\n{\n    ret;\n}\n";

Test(sim_fatbin, unpacks_every_packing)
{
    for (enum packing packing = PLAIN; packing <= ZSTD; packing++) {
        struct container made = container_new();
        char *out = NULL;

        container_add(&made, 1, 75, packing, text);
        cr_assert_eq(fatbin_ptx(made.at, made.bytes, 86, &out), 0, "packing %d", packing);
        cr_expect_str_eq(out, text);
        free(out);
        cr_assert_eq(fatbin_ptx(made.at, SIZE_MAX, 86, &out), 0, "packing %d", packing);
        free(out);
        free(made.at);
    }
}

/* What the entries are, as digits of an architecture, "x" in front for machine code. */
Test(sim_fatbin, takes_the_newest_ptx_that_the_card_can_run)
{
    static const struct {
        const char *entries;
        unsigned int card;
        int answer; /* the architecture taken, or an enum fatbin_error */
    } cases[] = {
        {"75", 86, 75},
        {"75 80", 86, 80},
        {"80 75", 86, 80},
        {"75 86 90", 86, 86},
        {"90 75", 86, 75},
        {"x86 75", 86, 75},
        {"x75 x86 x90", 86, FATBIN_E_NO_PTX},
        {"90", 86, FATBIN_E_TOO_NEW},
        {"x86 90", 86, FATBIN_E_TOO_NEW},
        {"", 86, FATBIN_E_NO_PTX},
        {"90 100 120", 120, 120},
        {"120", 75, FATBIN_E_TOO_NEW},
        {"75", 75, 75},
        {"76", 75, FATBIN_E_TOO_NEW},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct container made = container_new();
        const char *at = cases[i].entries;
        char *out = NULL;
        int answer;

        while (*at) {
            bool code = *at == 'x';
            char *end;
            char named[32];
            unsigned long arch = strtoul(at + code, &end, 10);

            snprintf(named, sizeof(named), "%s%lu", code ? "\177ELF" : "", arch);
            container_add(&made, code ? 2 : 1, (uint32_t)arch, (enum packing)(arch % 3), named);
            at = *end ? end + 1 : end;
        }
        answer = fatbin_ptx(made.at, made.bytes, cases[i].card, &out);
        if (!answer)
            answer = atoi(out);
        cr_expect_eq(answer, cases[i].answer, "\"%s\" on %u: %d", cases[i].entries, cases[i].card,
                     answer);
        free(out);
        free(made.at);
    }
}

Test(sim_fatbin, reads_what_nvcc_makes)
{
    static const char *const names[] = {"pair.fatbin", "pair.zstd.fatbin", "pair.lz4.fatbin"};
    char *first = NULL;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct data fatbin = data_load(names[i]);
        char *out = NULL;

        cr_assert_eq(fatbin_ptx(fatbin.at, fatbin.bytes, 90, &out), 0, "%s", names[i]);
        cr_expect(strstr(out, ".target sm_90"), "%s", names[i]);
        if (first)
            cr_expect_str_eq(out, first, "%s", names[i]);
        else
            first = strdup(out);
        free(out);
        cr_expect_eq(fatbin_ptx(fatbin.at, fatbin.bytes, 89, &out), FATBIN_E_TOO_NEW);
        data_free(&fatbin);
    }
    free(first);
}

/* An offset into the entry, and what is written there. */
Test(sim_fatbin, refuses_entries_whose_numbers_do_not_fit)
{
    static const struct {
        enum packing packing;
        size_t offset;
        size_t bytes;
        uint64_t value;
    } cases[] = {
        {PLAIN, 4, 4, 0},          {PLAIN, 4, 4, 63},         {PLAIN, 4, 4, UINT32_MAX},
        {PLAIN, 8, 8, 1},          {PLAIN, 8, 8, UINT64_MAX}, {PLAIN, 8, 8, UINT64_MAX - 63},
        {ZSTD, 16, 4, 0},          {ZSTD, 16, 4, 3},          {ZSTD, 16, 4, UINT32_MAX},
        {ZSTD, 56, 8, 0},          {ZSTD, 56, 8, 5},          {ZSTD, 56, 8, UINT64_MAX},
        {ZSTD, 56, 8, UINT32_MAX}, {ZSTD, 64, 4, 0},          {ZSTD, 40, 8, 0x2000},
        {LZ4, 16, 4, 0},           {LZ4, 16, 4, UINT32_MAX},  {LZ4, 56, 8, 0},
        {LZ4, 56, 8, 5},           {LZ4, 56, 8, UINT64_MAX},  {LZ4, 40, 8, 0x8000},
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct container made = container_new();
        struct entry *entry = container_add(&made, 1, 75, cases[i].packing, text);
        char *out = NULL;

        memcpy((uint8_t *)entry + cases[i].offset, &cases[i].value, cases[i].bytes);
        cr_expect_eq(fatbin_ptx(made.at, made.bytes, 86, &out), FATBIN_E_DAMAGED, "case %zu", i);
        cr_expect_null(out);
        free(made.at);
    }
}

Test(sim_fatbin, bears_being_cut_anywhere)
{
    static const char *const names[] = {"pair.fatbin", "pair.zstd.fatbin", "pair.lz4.fatbin"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct data fatbin = data_load(names[i]);

        for (size_t bytes = 0; bytes < fatbin.bytes; bytes++) {
            struct data cut = data_cut(&fatbin, bytes);
            uint64_t entries = bytes - 16;
            char *out = NULL;

            cr_assert_eq(fatbin_ptx(cut.at, bytes, 90, &out), FATBIN_E_DAMAGED);
            /* And when the header says that nothing is missing. */
            if (bytes >= 16) {
                memcpy(cut.at + 8, &entries, sizeof(entries));
                cr_assert_neq(fatbin_ptx(cut.at, bytes, 90, &out), 0);
            }
            data_free(&cut);
        }
        data_free(&fatbin);
    }
}

Test(sim_fatbin, is_opened_directly_and_through_a_wrapper)
{
    struct {
        uint32_t magic;
        uint32_t version;
        const void *fatbin;
        const void *unused;
    } wrapper = {0x466243b1, 1, NULL, NULL};
    struct container made = container_new();

    wrapper.fatbin = made.at;
    cr_expect_eq(fatbin_open(made.at, made.bytes), made.at);
    cr_expect_eq(fatbin_open(&wrapper, sizeof(wrapper)), made.at);
    cr_expect_null(fatbin_open(&wrapper, sizeof(wrapper) - 1));
    cr_expect_null(fatbin_open(text, sizeof(text)));
    cr_expect_null(fatbin_open(NULL, 0));
    free(made.at);
}

Test(sim_fatbin, reads_what_it_wraps)
{
    void *made;
    size_t bytes;
    char *out = NULL;

    cr_assert_eq(fatbin_wrap(text, 86, &made, &bytes), 0);
    cr_expect_eq(fatbin_ptx(made, bytes, 85, &out), FATBIN_E_TOO_NEW);
    cr_assert_eq(fatbin_ptx(made, bytes, 86, &out), 0);
    cr_expect_str_eq(out, text);
    free(out);
    free(made);
}
