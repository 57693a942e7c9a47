/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <elf.h>
#include <errno.h>

#include "runtime/nvinfo.h"
#include "runtime/util.h"
#include "tests/data/data.h"

/* What the sources in tests/data say, by C's rules of layout. */
static const struct expected {
    const char *name;
    uint32_t n_params;
    struct kernel_param params[16];
} expected[] = {
    {"no_params", 0, {}},
    {"one_pointer", 1, {{0, 8}}},
    {"mixed", 8, {{0, 1}, {2, 2}, {8, 8}, {16, 8}, {24, 4}, {32, 24}, {56, 3}, {64, 8}}},
    {"unaligned_struct", 3, {{0, 4}, {4, 24}, {32, 8}}},
    {"nested_pointers", 2, {{0, 40}, {40, 1}}},
    {"sixteen_pointers",
     16,
     {{0, 8},
      {8, 8},
      {16, 8},
      {24, 8},
      {32, 8},
      {40, 8},
      {48, 8},
      {56, 8},
      {64, 8},
      {72, 8},
      {80, 8},
      {88, 8},
      {96, 8},
      {104, 8},
      {112, 8},
      {120, 8}}},
    {"_Z9templatedIdEvPT_S0_", 2, {{0, 8}, {8, 8}}},
};
static const struct expected expected_large = {"large", 3, {{0, 4808}, {4808, 1}, {4816, 8}}};

static const char *const cubins[] = {"kernels.sm_75.cubin", "kernels.sm_90.cubin"};

static const struct nvinfo_kernel *find(const struct nvinfo *info, const char *name)
{
    for (size_t i = 0; i < info->n_kernels; i++)
        if (strcmp(info->kernels[i].name, name) == 0)
            return &info->kernels[i];
    return NULL;
}

static void expect_kernel(const struct nvinfo *info, const struct expected *want)
{
    const struct nvinfo_kernel *kernel = find(info, want->name);

    cr_assert(kernel, "%s is missing", want->name);
    cr_assert_eq(kernel->n_params, want->n_params, "%s", want->name);
    for (uint32_t i = 0; i < want->n_params; i++) {
        cr_expect_eq(kernel->params[i].offset, want->params[i].offset, "%s, %u", want->name, i);
        cr_expect_eq(kernel->params[i].bytes, want->params[i].bytes, "%s, %u", want->name, i);
    }
}

/* Whatever the image was, what is made of it must be usable. */
static void expect_sound(const struct nvinfo *info)
{
    for (size_t i = 0; i < info->n_kernels; i++) {
        const struct nvinfo_kernel *kernel = &info->kernels[i];
        uint32_t end = 0;

        cr_assert(kernel->name);
        for (uint32_t j = 0; j < kernel->n_params; j++) {
            cr_assert_geq(kernel->params[j].offset, end);
            cr_assert_gt(kernel->params[j].bytes, 0);
            end = (uint32_t)kernel->params[j].offset + kernel->params[j].bytes;
        }
    }
}

static void read_any(const void *image, size_t bytes)
{
    struct nvinfo *info;

    (void)nvinfo_elf_bytes(image, bytes);
    if (nvinfo_read(image, bytes, &info))
        return;
    expect_sound(info);
    nvinfo_free(info);
}

Test(nvinfo, reads_the_parameters_of_every_kernel)
{
    for (size_t i = 0; i < ARRAY_SIZE(cubins); i++) {
        struct data cubin = data_load(cubins[i]);
        struct nvinfo *info;

        cr_assert_eq(nvinfo_read(cubin.at, cubin.bytes, &info), 0);
        cr_expect_eq(info->n_kernels, ARRAY_SIZE(expected));
        for (size_t j = 0; j < ARRAY_SIZE(expected); j++)
            expect_kernel(info, &expected[j]);
        nvinfo_free(info);
        data_free(&cubin);
    }
}

Test(nvinfo, reads_the_records_of_large_parameters)
{
    struct data cubin = data_load("large.sm_90.cubin");
    struct nvinfo *info;

    cr_assert_eq(nvinfo_read(cubin.at, cubin.bytes, &info), 0);
    expect_kernel(info, &expected_large);
    nvinfo_free(info);
    data_free(&cubin);
}

Test(nvinfo, reads_an_image_at_an_odd_address)
{
    struct data cubin = data_load(cubins[0]);
    unsigned char *moved = malloc(cubin.bytes + 1);
    struct nvinfo *info;

    memcpy(moved + 1, cubin.at, cubin.bytes);
    cr_assert_eq(nvinfo_read(moved + 1, cubin.bytes, &info), 0);
    cr_expect_eq(info->n_kernels, ARRAY_SIZE(expected));
    nvinfo_free(info);
    free(moved);
    data_free(&cubin);
}

Test(nvinfo, refuses_what_is_no_cubin)
{
    struct data cubin = data_load(cubins[0]);
    static const char ptx[] = ".version 6.3\n.target sm_75\n";
    struct nvinfo *info;

    cr_expect_eq(nvinfo_read(ptx, sizeof(ptx), &info), -ENOEXEC);
    cr_expect_eq(nvinfo_read(cubin.at, 0, &info), -ENOEXEC);
    cubin.at[offsetof(Elf64_Ehdr, e_machine)] = EM_X86_64;
    cr_expect_eq(nvinfo_read(cubin.at, cubin.bytes, &info), -ENOEXEC);
    data_free(&cubin);
}

Test(nvinfo, frees_what_is_not_there)
{
    struct nvinfo *half = calloc(1, sizeof(*half));

    half->n_kernels = 1;
    half->kernels = calloc(1, sizeof(*half->kernels));
    nvinfo_free(half);
    nvinfo_free(NULL);
}

Test(nvinfo, tells_the_size_of_an_image_from_its_headers)
{
    for (size_t i = 0; i < ARRAY_SIZE(cubins); i++) {
        struct data cubin = data_load(cubins[i]);

        cr_expect_eq(nvinfo_elf_bytes(cubin.at, cubin.bytes), cubin.bytes);
        cr_expect_eq(nvinfo_elf_bytes(cubin.at, cubin.bytes - 1), 0);
        data_free(&cubin);
    }
}

Test(nvinfo, bears_an_image_cut_anywhere, .timeout = 300)
{
    for (size_t i = 0; i < ARRAY_SIZE(cubins); i++) {
        struct data cubin = data_load(cubins[i]);

        for (size_t bytes = 0; bytes < cubin.bytes; bytes++) {
            struct data cut = data_cut(&cubin, bytes);

            cr_assert_eq(nvinfo_elf_bytes(cut.at, bytes), 0, "%zu bytes", bytes);
            read_any(cut.at, bytes);
            data_free(&cut);
        }
        data_free(&cubin);
    }
}

Test(nvinfo, bears_any_byte_being_wrong, .timeout = 300)
{
    static const unsigned char masks[] = {0x01, 0x80, 0xff};

    for (size_t i = 0; i < ARRAY_SIZE(cubins); i++) {
        struct data cubin = data_load(cubins[i]);

        for (size_t at = 0; at < cubin.bytes; at++) {
            for (size_t j = 0; j < ARRAY_SIZE(masks); j++) {
                cubin.at[at] ^= masks[j];
                read_any(cubin.at, cubin.bytes);
                cubin.at[at] ^= masks[j];
            }
        }
        data_free(&cubin);
    }
}

/* Where the section `.nv.info.<name>` lies in a sound image. */
static unsigned char *section_of(const struct data *cubin, const char *name, size_t *out_bytes)
{
    const Elf64_Ehdr *header = (const Elf64_Ehdr *)cubin->at;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(cubin->at + header->e_shoff);
    const char *names = (const char *)cubin->at + sections[header->e_shstrndx].sh_offset;
    char wanted[128];

    snprintf(wanted, sizeof(wanted), ".nv.info.%s", name);
    for (unsigned int i = 0; i < header->e_shnum; i++) {
        if (strcmp(names + sections[i].sh_name, wanted) != 0)
            continue;
        *out_bytes = sections[i].sh_size;
        return cubin->at + sections[i].sh_offset;
    }
    cr_assert_fail("no section %s", wanted);
    return NULL;
}

/* The payload of the n-th parameter record of a kernel. */
static unsigned char *param_record(const struct data *cubin, const char *name, unsigned int n)
{
    size_t bytes;
    unsigned char *at = section_of(cubin, name, &bytes), *end = at + bytes;

    while (at < end) {
        if (at[1] == 0x17 && n-- == 0)
            return at + 4;
        at += 4 + (at[0] == 4 ? at[2] | at[3] << 8 : 0);
    }
    cr_assert_fail("%s has too few records", name);
    return NULL;
}

/* `mixed` lists its parameters from the last, at offset 64, to the first, at offset 0. */
Test(nvinfo, leaves_out_a_kernel_that_contradicts_itself)
{
    static const struct {
        const char *what;
        unsigned int record, byte;
        unsigned char value;
    } lies[] = {
        {"an ordinal twice", 0, 4, 6},
        {"an ordinal too high", 0, 4, 8},
        {"a parameter inside another", 5, 6, 9},
        {"a parameter beyond the total", 0, 6, 72},
        {"a parameter without a size", 7, 11, 0},
        {"a record with an unknown layout", 0, -4, 9},
        {"a record longer than its section", 7, -1, 0xff},
    };

    for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
        struct data cubin = data_load(cubins[0]);
        unsigned char *record = param_record(&cubin, "mixed", lies[i].record);
        struct nvinfo *info;

        if (lies[i].byte == 11) /* the size is in the upper 14 bits of this word */
            memset(record + 8, 0, 4);
        else
            record[(int)lies[i].byte] = lies[i].value;
        cr_assert_eq(nvinfo_read(cubin.at, cubin.bytes, &info), 0);
        cr_expect_null(find(info, "mixed"), "%s", lies[i].what);
        expect_kernel(info, &expected[1]);
        nvinfo_free(info);
        data_free(&cubin);
    }
}
