/* SPDX-License-Identifier: MIT */
/*
 * GGUF files are written here in a small notation, one word per field:
 *
 *   GGUF          the magic            hdr:T,K       version 3, T tensors, K keys
 *   u8:N u32:N u64:N  a number         f32:X f64:X   a floating point number
 *   s:TEXT        length and bytes (\xNN allowed)    raw:TEXT  bytes
 *   t:NAME,TYPE,OFFSET,D0[,D1...]      a tensor record
 *   zero:N        N zero bytes         pad           zeros up to a multiple of 32
 */
#include "planner/gguf.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "runtime/util.h"

#define MAX64 "18446744073709551615"

struct blob {
    uint8_t *data;
    size_t size;
};

static void put(struct blob *blob, const void *data, size_t size)
{
    blob->data = realloc(blob->data, blob->size + size + 1);
    cr_assert_not_null(blob->data);
    if (size)
        memcpy(blob->data + blob->size, data, size);
    blob->size += size;
}

static void put_number(struct blob *blob, uint64_t value, size_t bytes)
{
    value = htole64(value);
    put(blob, &value, bytes);
}

static void put_text(struct blob *blob, const char *text, bool with_size)
{
    char bytes[256];
    size_t size = 0;

    for (const char *at = text; *at; size++) {
        unsigned int code;

        if (sscanf(at, "\\x%2x", &code) == 1)
            at += 4;
        else
            code = (unsigned char)*at++;
        bytes[size] = (char)code;
    }
    if (with_size)
        put_number(blob, size, 8);
    put(blob, bytes, size);
}

static void put_tensor(struct blob *blob, char *fields)
{
    uint64_t dims[8];
    uint32_t n_dims = 0;
    char *save = NULL;
    char *name = strtok_r(fields, ",", &save);
    uint64_t type = strtoull(strtok_r(NULL, ",", &save), NULL, 0);
    uint64_t offset = strtoull(strtok_r(NULL, ",", &save), NULL, 0);

    for (char *dim; (dim = strtok_r(NULL, ",", &save));)
        dims[n_dims++] = strtoull(dim, NULL, 0);
    put_text(blob, name, true);
    put_number(blob, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        put_number(blob, dims[i], 8);
    put_number(blob, type, 4);
    put_number(blob, offset, 8);
}

static void put_zeros(struct blob *blob, size_t count)
{
    while (count--)
        put(blob, "", 1);
}

static void put_word(struct blob *blob, char *word)
{
    char *value = strchr(word, ':');
    float narrow;
    double wide;

    value = value ? value + 1 : word;
    if (!strncmp(word, "hdr:", 4)) {
        put(blob, "GGUF", 4);
        put_number(blob, 3, 4);
        put_number(blob, strtoull(value, &value, 0), 8);
        put_number(blob, strtoull(value + 1, NULL, 0), 8);
    } else if (!strncmp(word, "f32:", 4)) {
        narrow = strtof(value, NULL);
        put(blob, &narrow, sizeof(narrow));
    } else if (!strncmp(word, "f64:", 4)) {
        wide = strtod(value, NULL);
        put(blob, &wide, sizeof(wide));
    } else if (word[0] == 'u') {
        put_number(blob, strtoull(value, NULL, 0), strtoul(word + 1, NULL, 10) / 8);
    } else if (!strncmp(word, "s:", 2)) {
        put_text(blob, value, true);
    } else if (!strncmp(word, "t:", 2)) {
        put_tensor(blob, value);
    } else if (!strncmp(word, "zero:", 5)) {
        put_zeros(blob, strtoul(value, NULL, 0));
    } else if (!strcmp(word, "pad")) {
        put_zeros(blob, align_up(blob->size, 32) - blob->size);
    } else {
        put_text(blob, value, false);
    }
}

static struct blob blob_build(const char *notation)
{
    struct blob blob = {0};
    char *copy = strdup(notation), *save = NULL;

    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        put_word(&blob, word);
    free(copy);
    return blob;
}

/* Parses a copy that has not one byte more, so that a memory checker sees the first one too many.
 */
static int parse_exact(struct blob blob, size_t size, char error[512], struct gguf **out,
                       uint8_t **copy)
{
    *copy = malloc(size ? size : 1);
    cr_assert_not_null(*copy);
    if (size)
        memcpy(*copy, blob.data, size);
    return gguf_parse("test.gguf", *copy, size, error, 512, out);
}

/* Uses everything that a parsed file offers. */
static void read_all(const struct gguf *gguf, const uint8_t *data)
{
    volatile uint64_t sum = 0;

    (void)sum;
    for (size_t i = 0; i < gguf->n_entries; i++) {
        const struct gguf_value *value = &gguf->entries[i].value;
        struct gguf_value item;

        if (value->kind == GGUF_STRING && value->string.size)
            sum += (uint8_t)value->string.data[value->string.size - 1];
        if (value->kind != GGUF_ARRAY)
            continue;
        for (struct gguf_items items = gguf_items(value); gguf_items_next(&items, &item);)
            sum += item.kind == GGUF_STRING ? item.string.size : item.u;
    }
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        const struct tensor *tensor = &gguf->tensors[i];

        cr_assert_leq(tensor->offset, gguf->file_bytes);
        cr_assert_leq(tensor->bytes, gguf->file_bytes - tensor->offset);
        if (tensor->bytes)
            sum += data[tensor->offset + tensor->bytes - 1];
    }
}

/* One file with a value of each kind and three tensors, one of a type nobody knows. */
static const char *const good_file =
    "hdr:3,15 "
    "s:general.architecture u32:8 s:llama "
    "s:general.alignment u32:4 u32:32 "
    "s:k.u8 u32:0 u8:200 s:k.i8 u32:1 u8:200 s:k.u16 u32:2 u16:60000 s:k.i16 u32:3 u16:60000 "
    "s:k.i32 u32:5 u32:4294967295 s:k.f32 u32:6 f32:0.5 s:k.bool u32:7 u8:1 "
    "s:k.u64 u32:10 u64:" MAX64 " s:k.i64 u32:11 u64:" MAX64 " s:k.f64 u32:12 f64:0.1 "
    "s:k.numbers u32:9 u32:3 u64:2 u16:7 u16:65535 "
    "s:k.strings u32:9 u32:8 u64:2 s:first s: s:k.empty u32:9 u32:4 u64:0 "
    "t:token_embd.weight,0,0,3,2 t:strange,97,32,5,7 t:blk.0.attn_q.weight,2,96,64,2 "
    "pad zero:32 zero:64 zero:72";

Test(gguf, reads_values_of_every_kind)
{
    struct blob blob = blob_build(good_file);
    struct gguf *gguf = NULL;
    struct text string;
    char error[512] = "";
    uint64_t number;
    double real;

    cr_assert_eq(gguf_parse("good", blob.data, blob.size, error, sizeof(error), &gguf), 0, "%s",
                 error);
    cr_expect_eq(gguf->version, 3);
    cr_expect_eq(gguf->n_entries, 15);
    cr_expect_eq(gguf_get_string(gguf, "general.architecture", &string), 0);
    cr_expect(text_equal(string, "llama"));
    cr_expect(gguf_get_u64(gguf, "k.u8", &number) == 0 && number == 200);
    cr_expect(gguf_get_u64(gguf, "k.u16", &number) == 0 && number == 60000);
    cr_expect(gguf_get_u64(gguf, "k.u64", &number) == 0 && number == UINT64_MAX);
    cr_expect(gguf_get_f64(gguf, "k.i8", &real) == 0 && real == -56);
    cr_expect(gguf_get_f64(gguf, "k.i16", &real) == 0 && real == -5536);
    cr_expect(gguf_get_f64(gguf, "k.i64", &real) == 0 && real == -1);
    cr_expect(gguf_get_f64(gguf, "k.f32", &real) == 0 && real == 0.5);
    cr_expect(gguf_get_f64(gguf, "k.f64", &real) == 0 && real == 0.1);
    cr_expect_eq(gguf_get_u64(gguf, "k.i32", &number), -ERANGE);
    cr_expect_eq(gguf_get_u64(gguf, "k.f32", &number), -ERANGE);
    cr_expect_eq(gguf_get_u64(gguf, "absent", &number), -ENOENT);
    cr_expect_eq(gguf_get_string(gguf, "k.u8", &string), -ERANGE);
    cr_expect_eq(gguf_entry_find(gguf, "k.bool")->value.u, 1);
    gguf_free(gguf);
    free(blob.data);
}

Test(gguf, walks_over_arrays)
{
    struct blob blob = blob_build(good_file);
    struct gguf *gguf = NULL;
    struct gguf_items items;
    struct gguf_value item;
    char error[512];

    cr_assert_eq(gguf_parse("good", blob.data, blob.size, error, sizeof(error), &gguf), 0);
    items = gguf_items(&gguf_entry_find(gguf, "k.numbers")->value);
    cr_expect(gguf_items_next(&items, &item) && item.i == 7);
    cr_expect(gguf_items_next(&items, &item) && item.i == -1);
    cr_expect_not(gguf_items_next(&items, &item));
    items = gguf_items(&gguf_entry_find(gguf, "k.strings")->value);
    cr_expect(gguf_items_next(&items, &item) && text_equal(item.string, "first"));
    cr_expect(gguf_items_next(&items, &item) && text_equal(item.string, ""));
    cr_expect_not(gguf_items_next(&items, &item));
    items = gguf_items(&gguf_entry_find(gguf, "k.empty")->value);
    cr_expect_not(gguf_items_next(&items, &item));
    gguf_free(gguf);
    free(blob.data);
}

Test(gguf, lists_tensors_with_their_place_in_the_file)
{
    struct blob blob = blob_build(good_file);
    struct gguf *gguf = NULL;
    const struct tensor *tensor;
    char error[512];

    cr_assert_eq(gguf_parse("good", blob.data, blob.size, error, sizeof(error), &gguf), 0);
    tensor = gguf_tensor_find(gguf, "token_embd.weight");
    cr_assert_not_null(tensor);
    cr_expect_str_eq(tensor->type->name, "F32");
    cr_expect_eq(tensor->n_dims, 2);
    cr_expect_eq(tensor->dims[0], 3);
    cr_expect_eq(tensor->dims[1], 2);
    cr_expect_eq(tensor->dims[2], 1);
    cr_expect_eq(tensor->bytes, 24);
    cr_expect_eq(tensor->offset, gguf->data_offset);

    tensor = gguf_tensor_find(gguf, "blk.0.attn_q.weight");
    cr_assert_not_null(tensor);
    cr_expect_eq(tensor->bytes, 72);
    cr_expect_eq(tensor->offset + tensor->bytes, gguf->file_bytes);
    cr_expect_null(gguf_tensor_find(gguf, "blk.0"));
    gguf_free(gguf);
    free(blob.data);
}

Test(gguf, lists_a_tensor_of_unknown_type_with_its_size_by_offset)
{
    struct blob blob = blob_build(good_file);
    struct gguf *gguf = NULL;
    const struct tensor *tensor;
    char error[512];

    cr_assert_eq(gguf_parse("good", blob.data, blob.size, error, sizeof(error), &gguf), 0);
    tensor = gguf_tensor_find(gguf, "strange");
    cr_assert_not_null(tensor);
    cr_expect_null(tensor->type);
    cr_expect_eq(tensor->type_id, 97);
    cr_expect_eq(tensor->bytes, 64);
    gguf_free(gguf);
    free(blob.data);
}

Test(gguf, accepts_files_at_the_edge_of_the_format)
{
    static const struct {
        const char *what, *notation;
    } rows[] = {
        {"nothing in it", "hdr:0,0"},
        {"version 2", "GGUF u32:2 u64:0 u64:0"},
        {"a scalar", "hdr:1,0 t:x,0,0 pad zero:4"},
        {"an empty tensor", "hdr:1,0 t:x,0,0,0,5 pad"},
        {"an empty tensor where the padding is cut off", "hdr:1,0 t:x,0,0,0"},
        {"no padding after the last tensor", "hdr:2,0 t:x,0,0,1 t:y,0,32,1 pad zero:32 zero:4"},
        {"more alignment", "hdr:1,1 s:general.alignment u32:4 u32:64 t:x,0,0,1 pad zero:96"},
        {"an unknown type at the end", "hdr:1,0 t:x,4294967295,0,9 pad zero:7"},
        {"an odd but printable key", "hdr:0,1 s:Gr\\xc3\\xb6\\xc3\\x9f.e u32:0 u8:1"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct blob blob = blob_build(rows[i].notation);
        struct gguf *gguf = NULL;
        char error[512] = "";
        uint8_t *copy;
        int r = parse_exact(blob, blob.size, error, &gguf, &copy);

        cr_expect_eq(r, 0, "%s: %s", rows[i].what, error);
        if (!r)
            read_all(gguf, copy);
        gguf_free(gguf);
        free(copy);
        free(blob.data);
    }
}

static const struct {
    const char *notation, *reason;
} bad_files[] = {
    /* The header. */
    {"", "offset 0: the file is empty"},
    {"raw:GG", "offset 0: this is not a GGUF file"},
    {"GGUF", "offset 4: version needs 4 bytes, but only 0 are left"},
    {"GGUF u32:3 u32:0", "offset 8: tensor count needs 8 bytes, but only 4 are left"},
    {"GGUF u32:3 u64:0", "offset 16: key count needs 8 bytes, but only 0 are left"},
    {"raw:XXXX zero:32", "offset 0: this is not a GGUF file"},
    {"raw:FUGG zero:32", "written for a big-endian machine"},
    {"raw:version\\x20https://git-lfs.github.com/spec/v1", "Git LFS pointer; run: git lfs pull"},
    {"raw:<!DOCTYPE\\x20html>", "web page; the download went wrong"},
    {"raw:PK\\x03\\x04 zero:8", "zip file, as PyTorch pickles are"},
    {"GGUF u32:0 zero:16", "offset 4: GGUF version 0 is not supported"},
    {"GGUF u32:1 zero:16", "offset 4: GGUF version 1 is not supported"},
    {"GGUF u32:4 zero:16", "offset 4: GGUF version 4 is not supported"},
    {"GGUF u32:0xffffffff zero:16", "offset 4: GGUF version 4294967295 is not supported"},
    {"GGUF u32:0x03000000 zero:16", "big-endian"},
    {"hdr:" MAX64 ",0", "offset 8: tensor count " MAX64 " is more than the file can hold"},
    {"hdr:9223372036854775808,0 zero:99", "tensor count 9223372036854775808 is more"},
    {"hdr:1000000000,0 zero:99", "tensor count 1000000000 is more than the file can hold"},
    {"hdr:5,0 zero:99", "tensor count 5 is more than the file can hold"},
    {"hdr:0," MAX64, "offset 16: key count " MAX64 " is more than the file can hold"},
    {"hdr:0,8 zero:99", "key count 8 is more than the file can hold"},
    /* Keys and values. */
    {"hdr:0,1 u64:" MAX64 " zero:9", "offset 32: key needs " MAX64 " bytes, but only 9 are left"},
    {"hdr:0,1 u64:10 zero:9", "key needs 10 bytes, but only 9 are left"},
    {"hdr:0,1 s: u32:0 u8:0 zero:9", "offset 24: key is empty"},
    {"hdr:0,1 u64:65536 zero:65536 zero:9", "key is 65536 bytes long; the limit is 65535"},
    {"hdr:0,1 s:a\\x00b u32:0 u8:1", "key \"a\\x00b\" has control characters or is not UTF-8"},
    {"hdr:0,1 s:\\x1b]0;x\\x07 u32:0 u8:1", "key \"\\x1b]0;x\\x07\" has control characters"},
    {"hdr:0,1 s:\\xff\\xfe u32:0 u8:1", "key \"\\xff\\xfe\" has control characters or is not"},
    {"hdr:0,1 s:key u32:0xffffffff u8:1", "offset 35: value type -1 does not exist"},
    {"hdr:0,1 s:key u32:13 u8:1", "value type 13 does not exist"},
    {"hdr:0,1 s:key u32:0x80000000 u8:1", "value type -2147483648 does not exist"},
    {"hdr:0,1 s:key u32:10 u32:1", "offset 39: u64 needs 8 bytes, but only 4 are left"},
    {"hdr:0,1 s:key u32:8 u64:" MAX64, "string needs " MAX64 " bytes, but only 0 are left"},
    {"hdr:0,1 s:key u32:8 u64:0xffffffffffffffd8", "string needs 18446744073709551576 bytes"},
    {"hdr:0,1 s:key u32:7 u8:2", "offset 39: a bool is 2"},
    {"hdr:0,1 s:key u32:9 u32:7 u64:2 u8:1 u8:255", "offset 52: a bool is 255"},
    {"hdr:0,1 s:key u32:9 u32:9 u64:1 u32:9 u64:0", "offset 39: an array of arrays is not"},
    {"hdr:0,1 s:key u32:9 u32:13 u64:1 u64:0", "value type 13 does not exist"},
    {"hdr:0,1 s:key u32:9 u32:4 u64:0x4000000000000001 u32:0",
     "offset 39: an array of 4611686018427387905 u32 values does not fit in 4 bytes"},
    {"hdr:0,1 s:key u32:9 u32:8 u64:1099511627776 zero:100",
     "an array of 1099511627776 string values does not fit in 100 bytes"},
    {"hdr:0,1 s:key u32:9 u32:8 u64:2 s:one u64:7", "string needs 7 bytes, but only 0 are left"},
    {"hdr:0,2 s:key u32:0 u8:1 s:key u32:0 u8:1", "offset 48: key key is there twice"},
    {"hdr:0,2 s:key u32:0 u8:1 s:key u32:4 u32:1", "key key is there twice"},
    /* Alignment. */
    {"hdr:0,1 s:general.alignment u32:4 u32:0", "general.alignment is 0; it must be a power of"},
    {"hdr:0,1 s:general.alignment u32:4 u32:3", "general.alignment is 3; it must be a power of"},
    {"hdr:0,1 s:general.alignment u32:4 u32:0x80000000", "general.alignment is 2147483648"},
    {"hdr:0,1 s:general.alignment u32:8 s:32", "general.alignment is of type string, not u32"},
    {"hdr:0,1 s:general.alignment u32:9 u32:4 u64:0", "general.alignment is of type array"},
    {"hdr:0,2 s:general.alignment u32:4 u32:32 s:general.alignment u32:4 u32:64",
     "key general.alignment is there twice"},
    /* Tensors. */
    {"hdr:1,0 u64:" MAX64 " zero:40", "offset 32: tensor name needs " MAX64 " bytes"},
    {"hdr:1,0 s: u32:1 u64:1 u32:0 u64:0", "offset 24: tensor name is empty"},
    {"hdr:1,0 u64:128 zero:128 zero:40", "tensor name is 128 bytes long; the limit is 127"},
    {"hdr:1,0 t:a\\x0ab,0,0,1 pad zero:4", "tensor name \"a\\x0ab\" has control characters"},
    {"hdr:2,0 t:x,0,0,1 t:x,0,32,1 pad zero:64", "tensor x is there twice"},
    {"hdr:1,0 t:x,0,0,1,1,1,1,1 pad zero:4", "tensor x has 5 dimensions; the limit is 4"},
    {"hdr:1,0 s:x u32:0xffffffff zero:40", "tensor x has 4294967295 dimensions"},
    {"hdr:1,0 t:x,0,0," MAX64 " pad zero:4", "tensor x has a negative dimension"},
    {"hdr:1,0 t:x,0,0,4294967296,4294967296 pad zero:4", "tensor x has too many elements"},
    {"hdr:1,0 t:x,0,0,4294967297,4294967296 pad zero:4", "tensor x has too many elements"},
    {"hdr:1,0 t:x,0,0,9223372036854775807,2,1,1 pad zero:4", "tensor x has too many elements"},
    {"hdr:1,0 t:x,28,0,4611686018427387904 pad zero:4", "tensor x has too many bytes"},
    {"hdr:1,0 t:x,0,0,4611686018427387904 pad zero:4", "tensor x has too many bytes"},
    {"hdr:1,0 t:x,2,0,33 pad zero:99", "tensor x: 33 is no multiple of Q4_0's block of 32"},
    {"hdr:1,0 t:x,12,0,128 pad zero:999", "tensor x: 128 is no multiple of Q4_K's block of 256"},
    {"hdr:1,0 t:x,0,8,1 pad zero:64", "tensor x: offset 8 is no multiple of 32"},
    {"hdr:1,0 t:x,0,32,1 pad zero:64", "tensor x is at 32 of the data section, not at 0"},
    {"hdr:2,0 t:x,0,0,1 t:y,0,0,1 pad zero:64", "tensor y is at 0 of the data section, not at 32"},
    {"hdr:2,0 t:x,0,0,1 t:y,0,64,1 pad zero:99", "tensor y is at 64 of the data section, not at"},
    {"hdr:1,0 t:x,0,0xffffffffffffffe0,8 pad zero:64", "of the data section, not at 0"},
    {"hdr:1,0 t:x,0,0,9 pad zero:35", "offset 32: tensor x reaches beyond the end of the file"},
    {"hdr:1,0 t:x,0,0,1", "tensor x reaches beyond the end of the file"},
    {"hdr:2,0 t:x,97,0,1 t:y,0,96,1 pad zero:64", "tensor x reaches beyond the end of the file"},
    {"hdr:2,0 t:x,97,0,1 t:y,0,64,1 pad zero:64", "tensor y reaches beyond the end of the file"},
};

Test(gguf, refuses_bad_files_with_one_line_that_says_where_and_why)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad_files); i++) {
        struct blob blob = blob_build(bad_files[i].notation);
        struct gguf *gguf = NULL;
        char error[512] = "";
        uint8_t *copy;
        int r = parse_exact(blob, blob.size, error, &gguf, &copy);

        cr_expect_eq(r, -EINVAL, "row %zu was accepted: %s", i, bad_files[i].notation);
        cr_expect(strncmp(error, "test.gguf: offset ", 18) == 0, "row %zu: %s", i, error);
        cr_expect_not_null(strstr(error, bad_files[i].reason), "row %zu: \"%s\", not \"%s\"", i,
                           error, bad_files[i].reason);
        cr_expect_null(strpbrk(error, "\n\r\x1b"), "row %zu: %s", i, error);
        gguf_free(gguf);
        free(copy);
        free(blob.data);
    }
}

Test(gguf, refuses_a_file_cut_off_anywhere)
{
    struct blob blob = blob_build(good_file);

    for (size_t size = 0; size < blob.size; size++) {
        struct gguf *gguf = NULL;
        char error[512];
        uint8_t *copy;

        cr_expect_eq(parse_exact(blob, size, error, &gguf, &copy), -EINVAL, "cut to %zu", size);
        gguf_free(gguf);
        free(copy);
    }
    free(blob.data);
}

Test(gguf, survives_any_single_wrong_byte)
{
    static const uint8_t values[] = {0x00, 0x01, 0x09, 0x20, 0x7f, 0x80, 0xff};
    struct blob blob = blob_build(good_file);

    for (size_t at = 0; at < blob.size; at++) {
        uint8_t saved = blob.data[at];

        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
            struct gguf *gguf = NULL;
            char error[512];
            uint8_t *copy;

            blob.data[at] = values[i];
            if (parse_exact(blob, blob.size, error, &gguf, &copy) == 0)
                read_all(gguf, copy);
            gguf_free(gguf);
            free(copy);
        }
        blob.data[at] = saved;
    }
    free(blob.data);
}

Test(gguf, takes_tens_of_thousands_of_names_in_stride, .timeout = 20)
{
    enum { COUNT = 65000 };
    struct blob blob = {.data = malloc(COUNT * 40 + 64)};
    struct gguf *gguf = NULL;
    char error[512], name[32];
    size_t size = 0;

    /* Written in place: growing by put() would itself be quadratic under a memory checker. */
    memcpy(blob.data, "GGUF\3\0\0\0\0\0\0\0\0\0\0\0", 16);
    *(uint64_t *)(void *)(blob.data + 16) = htole64(COUNT);
    size = 24;
    for (int i = 0; i < COUNT; i++) {
        uint64_t length = (uint64_t)snprintf(name, sizeof(name), "key.%d", COUNT - i);

        memcpy(blob.data + size, &(uint64_t){htole64(length)}, 8);
        memcpy(blob.data + size + 8, name, length);
        memset(blob.data + size + 8 + length, 0, 5);
        size += 8 + length + 5;
    }
    cr_assert_eq(gguf_parse("many", blob.data, size, error, sizeof(error), &gguf), 0, "%s", error);
    cr_expect_not_null(gguf_entry_find(gguf, "key.1"));
    cr_expect_not_null(gguf_entry_find(gguf, "key.65000"));
    cr_expect_null(gguf_entry_find(gguf, "key.65001"));
    gguf_free(gguf);
    free(blob.data);
}

Test(gguf, names_a_file_that_cannot_be_opened_and_why)
{
    char error[512], fifo[] = "/tmp/vramshim-test-fifo-XXXXXX";
    struct gguf *gguf = NULL;

    cr_expect_eq(gguf_open("/no/such/model.gguf", error, sizeof(error), &gguf), -ENOENT);
    cr_expect_str_eq(error, "/no/such/model.gguf: No such file or directory");
    cr_expect_eq(gguf_open("/tmp", error, sizeof(error), &gguf), -EINVAL);
    cr_expect_str_eq(error, "/tmp: is a directory");
    cr_expect_eq(gguf_open("no\x1b[1m", error, sizeof(error), &gguf), -ENOENT);
    cr_expect_str_eq(error, "no\\x1b[1m: No such file or directory");

    close(mkstemp(fifo));
    unlink(fifo);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    cr_expect_eq(gguf_open(fifo, error, sizeof(error), &gguf), -EINVAL);
    cr_expect_not_null(strstr(error, "is not a regular file"));
    unlink(fifo);
}

Test(gguf, opens_a_file_and_an_empty_one)
{
    char error[512], path[] = "/tmp/vramshim-test-gguf-XXXXXX";
    struct blob blob = blob_build(good_file);
    struct gguf *gguf = NULL;
    int fd = mkstemp(path);

    cr_assert_geq(fd, 0);
    cr_expect_eq(gguf_open(path, error, sizeof(error), &gguf), -EINVAL);
    cr_expect_not_null(strstr(error, "the file is empty"), "%s", error);
    cr_assert_eq(write(fd, blob.data, blob.size), (ssize_t)blob.size);
    close(fd);
    cr_expect_eq(gguf_open(path, error, sizeof(error), &gguf), 0, "%s", error);
    read_all(gguf, blob.data);
    cr_expect_null(gguf_free(gguf));
    cr_expect_null(gguf_free(NULL));
    unlink(path);
    free(blob.data);
}

Test(gguf, knows_the_size_of_each_tensor_type)
{
    size_t known = 0;

    for (uint32_t id = 0; id < 100; id++) {
        const struct tensor_type *type = gguf_type_find(id);

        if (!type)
            continue;
        known++;
        cr_expect_gt(type->block_elements, 0, "%s", type->name);
        cr_expect_gt(type->block_bytes, 0, "%s", type->name);
        cr_expect_leq(type->block_bytes, type->block_elements * 8, "%s", type->name);
    }
    cr_expect_eq(known, 35);
    cr_expect_null(gguf_type_find(4), "removed from the format");
    cr_expect_null(gguf_type_find(31), "removed from the format");
    cr_expect_null(gguf_type_find(43), "not given out yet");
    cr_expect_eq(gguf_type_find(GGUF_TYPE_Q8_0)->block_bytes, 34);
    cr_expect_eq(gguf_type_find(GGUF_TYPE_Q6_K)->block_bytes, 210);
}
