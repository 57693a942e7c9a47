/* SPDX-License-Identifier: MIT */
/* Files are a header's text, which the length is put before, and so many bytes of data. */
#include "planner/safetensors.h"

#include <criterion/criterion.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/util.h"

struct blob {
    uint8_t *data;
    size_t size;
};

/* Not one byte more, so that a memory checker sees the first one too many. */
static struct blob blob_of(const char *header, size_t header_size, size_t data_size)
{
    struct blob blob = {.size = 8 + header_size + data_size};

    blob.data = calloc(1, blob.size);
    cr_assert_not_null(blob.data);
    memcpy(blob.data, &(uint64_t){htole64(header_size)}, 8);
    if (header_size)
        memcpy(blob.data + 8, header, header_size);
    return blob;
}

static int parse(struct blob blob, char error[512], struct safetensors **out)
{
    error[0] = '\0';
    return safetensors_parse("test", blob.data, blob.size, error, 512, out);
}

Test(safetensors, lists_tensors_in_the_order_of_their_data)
{
    static const char header[] =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]},"
        "\"a\\u00f6\\ud83d\\ude00\":{\"dtype\":\"BF16\",\"shape\":[4],\"data_offsets\":[0,8]},"
        "\"none\":{\"dtype\":\"F64\",\"shape\":[0,7],\"data_offsets\":[32,32]},"
        "\"one\":{\"shape\":[],\"data_offsets\":[32,33],\"extra\":[{\"x\":1e9}],\"dtype\":\"U8\"}} "
        " ";
    struct blob blob = blob_of(header, strlen(header), 33);
    struct safetensors *file = NULL;
    char error[512];

    cr_assert_eq(parse(blob, error, &file), 0, "%s", error);
    free(blob.data);
    cr_assert_eq(file->n_tensors, 4);
    cr_expect(text_equal(file->tensors[0].name, "a\xc3\xb6\xf0\x9f\x98\x80"));
    cr_expect_eq(file->tensors[0].bytes, 8);
    cr_expect_eq(file->tensors[1].dims[0], 3, "the last one of a shape is contiguous");
    cr_expect_eq(file->tensors[1].dims[1], 2);
    cr_expect_eq(file->tensors[1].dims[2], 1);
    cr_expect_eq(file->tensors[1].offset, file->data_offset + 8);
    cr_expect_str_eq(file->tensors[1].type->name, "F32");
    cr_expect_eq(file->tensors[2].elements, 0);
    cr_expect_eq(file->tensors[3].elements, 1);
    cr_expect_eq(safetensors_find(file, (struct text){"b", 1}), &file->tensors[1]);
    cr_expect_null(safetensors_find(file, (struct text){"c", 1}));
    safetensors_free(file);
}

Test(safetensors, packs_small_types_into_whole_bytes)
{
    static const struct {
        const char *type;
        unsigned int elements, bytes;
    } rows[] = {{"F4", 6, 3},      {"F6_E2M3", 8, 6}, {"F6_E3M2", 4, 3}, {"BOOL", 3, 3},
                {"F8_E8M0", 3, 3}, {"C64", 2, 16},    {"I16", 5, 10},    {"U64", 1, 8}};

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char header[256], error[512];
        struct safetensors *file = NULL;
        struct blob blob;

        snprintf(header, sizeof(header),
                 "{\"x\":{\"dtype\":\"%s\",\"shape\":[%u],\"data_offsets\":[0,%u]}}", rows[i].type,
                 rows[i].elements, rows[i].bytes);
        blob = blob_of(header, strlen(header), rows[i].bytes);
        cr_expect_eq(parse(blob, error, &file), 0, "%s: %s", rows[i].type, error);
        safetensors_free(file);
        free(blob.data);
    }
}

#define T(name, type, shape, begin, end)                                                           \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":[" begin "," end "]}"

static const struct {
    const char *header;
    size_t data;
    const char *reason;
} bad[] = {
    {"{", 0, "does not begin with {; this is no safetensors file"},
    {"[]", 0, "does not begin with {"},
    {"{ ", 0, "the text ends too early"},
    {"{}x", 0, "offset 10: the header is no good JSON: something follows"},
    {"{}", 4, "offset 10: 4 bytes follow behind the last tensor"},
    {"{\"a\"}", 0, "offset 12: the header is no good JSON: a colon is expected"},
    {"{\"a\":1}", 0, "an object is expected here"},
    {"{a:1}", 0, "a string is expected here"},
    {"{\"a\":{},}", 0, "lacks dtype, shape or data_offsets"},
    {"{\"a", 0, "a string has no end"},
    {"{\"a\":{\"dtype\":NaN}}", 0, "a string is expected here"},
    {"{" T("a", "U8", "[01]", "0", "1") "}", 1, "a number begins with a zero"},
    {"{" T("a", "U8", "[1e3]", "0", "1") "}", 1, "not written as a whole one"},
    {"{" T("a", "U8", "[1.0]", "0", "1") "}", 1, "not written as a whole one"},
    {"{" T("a", "U8", "[-1]", "0", "1") "}", 1, "a number is negative"},
    {"{" T("a", "U8", "[18446744073709551616]", "0", "1") "}", 1, "a number is too large"},
    {"{" T("a", "U8", "[NaN]", "0", "1") "}", 1, "a value is expected here"},
    {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "0", "1") "}", 1, "more numbers than can be here"},
    {"{" T("a", "U8", "[1]", "0", "1,2") "}", 1, "more numbers than can be here"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, "are two numbers"},
    {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0, "a key of a tensor is there twice"},
    {"{" T("a", "U8", "[1]", "0", "1") "," T("a", "U8", "[1]", "1", "2") "}", 2,
     "tensor a is there twice"},
    {"{" T("a", "U8", "[1]", "0", "1") "," T("\\u0061", "U8", "[1]", "1", "2") "}", 2,
     "tensor a is there twice"},
    {"{" T("a", "U8", "[1]", "1", "2") "}", 2, "begins at 1 of the data; there is a hole from 0"},
    {"{" T("a", "U8", "[2]", "0", "2") "," T("b", "U8", "[1]", "1", "2") "}", 2,
     "tensor b begins at 1 of the data, inside another one"},
    {"{" T("a", "U8", "[1]", "1", "0") "}", 1, "tensor a ends at 0, before it begins at 1"},
    {"{" T("a", "U8", "[2]", "0", "2") "}", 1, "tensor a reaches beyond the end of the file"},
    {"{" T("a", "U8", "[2]", "0", "1") "}", 1, "has 1 bytes of data; shape and type make 2"},
    {"{" T("a", "U8", "[4294967296,4294967296]", "0", "1") "}", 1, "has too many elements"},
    {"{" T("a", "F64", "[4611686018427387904]", "0", "1") "}", 1, "has too many elements"},
    {"{" T("a", "F4", "[3]", "0", "2") "}", 2, "3 elements of type F4 do not fill whole bytes"},
    {"{" T("a", "F7", "[1]", "0", "1") "}", 1, "tensor a: there is no type F7"},
    {"{" T("a", "\\u001b[2J", "[1]", "0", "1") "}", 1, "there is no type \\x1b[2J"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "a string is expected here"},
    {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, "__metadata__ is there twice"},
    {"{" T("\\ud800", "U8", "[1]", "0", "1") "}", 1, "half a character is escaped here"},
    {"{" T("\\ud800\\u0041", "U8", "[1]", "0", "1") "}", 1, "half a character is escaped here"},
    {"{" T("\xff", "U8", "[1]", "0", "1") "}", 1, "a string is not UTF-8"},
    {"{" T("\x1b[1m", "U8", "[1]", "0", "1") "}", 1, "a control character is in a string"},
    {"{" T("a\\u0000b", "U8", "[1]", "0", "1") "}", 1, "tensor name \"a\\x00b\" has control"},
    {"{" T("\\q", "U8", "[1]", "0", "1") "}", 1, "there is no such escape"},
    {"{" T("\\u12g4", "U8", "[1]", "0", "1") "}", 1, "four hexadecimal digits are expected"},
    {"{" T("", "U8", "[1]", "0", "1") "}", 1, "a tensor has no name"},
};

Test(safetensors, refuses_bad_headers_with_one_line_that_says_where_and_why)
{
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct blob blob = blob_of(bad[i].header, strlen(bad[i].header), bad[i].data);
        struct safetensors *file = NULL;
        char error[512];

        cr_expect_eq(parse(blob, error, &file), -EINVAL, "row %zu: %s", i, bad[i].header);
        cr_expect_not_null(strstr(error, bad[i].reason), "row %zu: \"%s\", not \"%s\"", i, error,
                           bad[i].reason);
        cr_expect(strncmp(error, "test: offset ", 13) == 0, "row %zu: %s", i, error);
        cr_expect_null(strpbrk(error, "\n\r\x1b"), "row %zu: %s", i, error);
        safetensors_free(file);
        free(blob.data);
    }
}

Test(safetensors, refuses_lengths_that_cannot_be)
{
    static const struct {
        uint64_t length;
        const char *reason;
    } rows[] = {
        {0, "does not begin with {"},
        {1, "does not begin with {"},
        {4, "offset 12: the header is no good JSON"},
        {99, "a header of 99 bytes does not fit in a file of 24; is the file complete?"},
        {100000001, "a header of 100000001 bytes is beyond the format's limit"},
        {UINT64_MAX, "a header of 18446744073709551615 bytes is beyond the format's limit"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct blob blob = blob_of("{               ", 16, 0);
        struct safetensors *file = NULL;
        char error[512];

        memcpy(blob.data, &(uint64_t){htole64(rows[i].length)}, 8);
        cr_expect_eq(parse(blob, error, &file), -EINVAL);
        cr_expect_not_null(strstr(error, rows[i].reason), "%s", error);
        free(blob.data);
    }
}

Test(safetensors, refuses_depth_without_recursing)
{
    enum { DEPTH = 1 << 20 };
    char *header = malloc(DEPTH + 64), error[512];
    int n = sprintf(header, "{\"a\":{\"x\":");
    struct safetensors *file = NULL;
    struct blob blob;

    memset(header + n, '[', DEPTH);
    blob = blob_of(header, (size_t)n + DEPTH, 0);
    cr_expect_eq(parse(blob, error, &file), -EINVAL);
    cr_expect_not_null(strstr(error, "nested too deep"), "%s", error);
    free(blob.data);
    free(header);
}

Test(safetensors, survives_every_cut_and_every_single_wrong_byte)
{
    static const char header[] = "{\"__metadata__\":{\"k\":\"\\u00e9\"}," T(
        "a", "F16", "[2,2]", "0", "8") "," T("b", "U8", "[]", "8", "9") "}";
    static const uint8_t values[] = {0, '"', '{', '}', '\\', '9', 0x80, 0xff};
    struct blob whole = blob_of(header, strlen(header), 9);

    for (size_t at = 0; at < whole.size; at++) {
        struct safetensors *file = NULL;
        struct blob cut = {malloc(at ? at : 1), at};
        uint8_t saved = whole.data[at];
        char error[512];

        memcpy(cut.data, whole.data, at);
        cr_expect_eq(parse(cut, error, &file), -EINVAL, "cut to %zu", at);
        free(cut.data);
        for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
            whole.data[at] = values[i];
            file = NULL;
            parse(whole, error, &file);
            safetensors_free(file);
        }
        whole.data[at] = saved;
    }
    free(whole.data);
}
