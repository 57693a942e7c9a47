/* SPDX-License-Identifier: MIT */
/*
 * The compiler leaves one section `.nv.info.<kernel>` per kernel, a stream of records: a byte that
 * says how the record is laid out, a byte that says what it is about, then two bytes of value or,
 * for the sized layout, two bytes of length and so many bytes. Two attributes describe a parameter,
 * one record each, in any order; the second came with parameters beyond 4 KiB:
 *
 *   0x17  u32 0, u16 ordinal, u16 offset, u32 with the size in its upper 14 bits
 *   0x45  u32 0, u16 ordinal, u16 offset, u16 size, u16 marks
 *
 * A kernel counts only when its records agree: ordinals 0 to n-1 once each, parameters in order and
 * apart, all within the total size if one is stated. A wrong layout is worse than none: it would
 * have the launch path read past the program's parameters.
 */

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "runtime/nvinfo.h"
#include "runtime/util.h"

#define NV_INFO_PREFIX ".nv.info."

enum {
    MACHINE_CUDA = 190,
    LAYOUT_SIZED = 4, /* 1 to 3 carry their value in the record itself */
    ATTR_PARAM = 0x17,
    ATTR_PARAM_V2 = 0x45,
    ATTR_PARAM_BYTES = 0x19,
    PARAM_RECORD_BYTES = 12,
};

/* Bytes still to be read. */
struct span {
    const unsigned char *at;
    size_t left;
};

struct record {
    unsigned int attribute;
    unsigned int value; /* of a record without payload */
    struct span payload;
};

static unsigned int get_u16(const unsigned char *at)
{
    return at[0] | at[1] << 8;
}

static uint32_t get_u32(const unsigned char *at)
{
    return get_u16(at) | (uint32_t)get_u16(at + 2) << 16;
}

/* 1: *out is the next record; 0: there is none; -ENOEXEC: it makes no sense. */
static int record_next(struct span *span, struct record *out)
{
    struct record record;
    size_t bytes = 4;

    if (!span->left)
        return 0;
    if (span->left < 4 || span->at[0] < 1 || span->at[0] > LAYOUT_SIZED)
        return -ENOEXEC;
    record.attribute = span->at[1];
    record.value = get_u16(span->at + 2);
    record.payload = (struct span){span->at + 4, 0};
    if (span->at[0] == LAYOUT_SIZED) {
        record.payload.left = record.value;
        bytes += record.value;
    }
    if (bytes > span->left)
        return -ENOEXEC;
    span->at += bytes;
    span->left -= bytes;
    *out = record;
    return 1;
}

static bool record_is_param(const struct record *record)
{
    return (record->attribute == ATTR_PARAM || record->attribute == ATTR_PARAM_V2) &&
           record->payload.left >= PARAM_RECORD_BYTES;
}

static int count_params(struct span span, uint32_t *out_params, uint32_t *out_bytes)
{
    uint32_t n = 0, bytes = UINT32_MAX;
    struct record record;
    int r;

    while ((r = record_next(&span, &record)) > 0) {
        if (record_is_param(&record))
            n++;
        else if (record.attribute == ATTR_PARAM_BYTES && !record.payload.left)
            bytes = record.value;
    }
    if (r)
        return r;
    *out_params = n;
    *out_bytes = bytes;
    return 0;
}

/* `params` is zeroed; a size of zero says that its ordinal was not seen. */
static int fill_params(struct span span, struct kernel_param *params, uint32_t n_params)
{
    struct record record;

    while (record_next(&span, &record) > 0) {
        const unsigned char *at = record.payload.at;
        unsigned int ordinal;

        if (!record_is_param(&record))
            continue;
        ordinal = get_u16(at + 4);
        if (ordinal >= n_params || params[ordinal].bytes)
            return -ENOEXEC;
        params[ordinal].offset = get_u16(at + 6);
        params[ordinal].bytes =
            record.attribute == ATTR_PARAM ? get_u32(at + 8) >> 18 : get_u16(at + 8);
    }
    return 0;
}

static bool params_are_sound(const struct kernel_param *params, uint32_t n_params, uint32_t limit)
{
    uint32_t end = 0;

    limit = min_u64(limit, UINT16_MAX);
    for (uint32_t i = 0; i < n_params; i++) {
        if (!params[i].bytes || params[i].offset < end)
            return false;
        end = (uint32_t)params[i].offset + params[i].bytes;
        if (end > limit)
            return false;
    }
    return true;
}

static int read_params(struct span span, struct kernel_param **out_params, uint32_t *out_n)
{
    struct kernel_param *params;
    uint32_t n, bytes;
    int r;

    r = count_params(span, &n, &bytes);
    if (r)
        return r;
    params = calloc(n + 1, sizeof(*params));
    if (!params)
        return -ENOMEM;
    if (fill_params(span, params, n) || !params_are_sound(params, n, bytes)) {
        free(params);
        return -ENOEXEC;
    }
    *out_params = params;
    *out_n = n;
    return 0;
}

/* The name of the kernel that a section is about, NULL when it is about none. */
static const char *section_kernel(Elf *elf, size_t names, const GElf_Shdr *header)
{
    const char *name = elf_strptr(elf, names, header->sh_name);

    if (!name || strncmp(name, NV_INFO_PREFIX, strlen(NV_INFO_PREFIX)) != 0)
        return NULL;
    return name + strlen(NV_INFO_PREFIX);
}

/* 0 as well when the section is not about a kernel, or is not sound. */
static int read_section(Elf *elf, size_t names, Elf_Scn *section, struct nvinfo *info)
{
    struct nvinfo_kernel *kernel = &info->kernels[info->n_kernels];
    const char *name;
    GElf_Shdr header;
    Elf_Data *data;
    int r;

    if (!gelf_getshdr(section, &header))
        return 0;
    name = section_kernel(elf, names, &header);
    if (!name)
        return 0;
    data = elf_rawdata(section, NULL);
    if (!data || (data->d_size && !data->d_buf))
        return 0;

    r = read_params((struct span){data->d_buf, data->d_size}, &kernel->params, &kernel->n_params);
    if (r)
        return r == -ENOMEM ? r : 0;
    kernel->name = strdup(name);
    info->n_kernels++; /* nvinfo_free() then owns what there is of it */
    return kernel->name ? 0 : -ENOMEM;
}

static int read_sections(Elf *elf, struct nvinfo *info)
{
    Elf_Scn *section = NULL;
    size_t n_sections, names;
    int r;

    if (elf_getshdrnum(elf, &n_sections) || elf_getshdrstrndx(elf, &names))
        return -ENOEXEC;
    info->kernels = calloc(n_sections + 1, sizeof(*info->kernels));
    if (!info->kernels)
        return -ENOMEM;
    for (size_t i = 0; i < n_sections && (section = elf_nextscn(elf, section)); i++) {
        r = read_section(elf, names, section, info);
        if (r)
            return r;
    }
    return 0;
}

static bool elf_is_cubin(Elf *elf)
{
    GElf_Ehdr header;

    return elf_kind(elf) == ELF_K_ELF && gelf_getclass(elf) == ELFCLASS64 &&
           gelf_getehdr(elf, &header) && header.e_machine == MACHINE_CUDA &&
           header.e_ident[EI_DATA] == ELFDATA2LSB;
}

int nvinfo_read(const void *image, size_t bytes, struct nvinfo **out)
{
    struct nvinfo *info = NULL;
    Elf *elf;
    int r = -ENOEXEC;

    if (elf_version(EV_CURRENT) == EV_NONE)
        return -ENOEXEC;
    elf = elf_memory((char *)image, bytes); /* only ever read from: no ELF_C_WRITE */
    if (!elf || !elf_is_cubin(elf))
        goto end;

    r = -ENOMEM;
    info = calloc(1, sizeof(*info));
    if (!info)
        goto end;
    r = read_sections(elf, info);
    if (r)
        goto end;
    *out = info;
    info = NULL;
end:
    nvinfo_free(info);
    elf_end(elf);
    return r;
}

void nvinfo_free(struct nvinfo *info)
{
    if (!info)
        return;
    for (size_t i = 0; i < info->n_kernels; i++) {
        free((char *)info->kernels[i].name);
        free(info->kernels[i].params);
    }
    free(info->kernels);
    free(info);
}

/* Raises *end to where `count` items of `size` bytes at `offset` end; false: that is past limit. */
static bool reach(uint64_t offset, uint64_t count, uint64_t size, size_t limit, size_t *end)
{
    uint64_t bytes, last;

    if (__builtin_mul_overflow(count, size, &bytes) ||
        __builtin_add_overflow(offset, bytes, &last) || last > limit)
        return false;
    *end = max_u64(*end, last);
    return true;
}

static bool reach_sections(const char *image, const Elf64_Ehdr *header, size_t limit, size_t *end)
{
    uint64_t n = header->e_shnum;
    Elf64_Shdr section;

    if (!header->e_shoff)
        return true;
    if (header->e_shentsize != sizeof(section) ||
        !reach(header->e_shoff, 1, sizeof(section), limit, end))
        return false;
    memcpy(&section, image + header->e_shoff, sizeof(section));
    if (!n)
        n = section.sh_size; /* more than fit into e_shnum */
    if (!reach(header->e_shoff, n, sizeof(section), limit, end))
        return false;
    for (uint64_t i = 0; i < n; i++) {
        memcpy(&section, image + header->e_shoff + i * sizeof(section), sizeof(section));
        if (i && section.sh_type != SHT_NOBITS && section.sh_type != SHT_NULL &&
            !reach(section.sh_offset, 1, section.sh_size, limit, end))
            return false;
    }
    return true;
}

size_t nvinfo_elf_bytes(const void *image, size_t limit)
{
    size_t end = sizeof(Elf64_Ehdr);
    Elf64_Ehdr header;

    /* What is no ELF image may end before a header would: PTX is text. */
    if (limit < sizeof(header) || memcmp(image, ELFMAG, SELFMAG) != 0)
        return 0;
    memcpy(&header, image, sizeof(header));
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
        return 0;
    if (!reach(header.e_phoff, header.e_phnum, header.e_phentsize, limit, &end) ||
        !reach_sections(image, &header, limit, &end))
        return 0;
    return end;
}
