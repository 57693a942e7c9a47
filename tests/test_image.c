/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "runtime/image.h"
#include "runtime/util.h"
#include "tests/data/data.h"

/* Handles are never looked into: any addresses will do. */
static char module_a, module_b, kernel, function, other;

static int n_params(const void *handle)
{
    struct kernel_param params[16];

    return image_params(handle, params, ARRAY_SIZE(params));
}

Test(image, knows_the_parameters_of_an_attached_handle)
{
    struct data cubin = data_load("kernels.sm_90.cubin");
    struct kernel_param params[8];

    cr_assert_eq(image_record(&module_a, cubin.at, 0), 7);
    image_attach(&module_a, "mixed", &function, IMAGE_HANDLE_FUNCTION);
    cr_assert_eq(image_params(&function, params, 8), 8);
    cr_expect_eq(params[5].offset, 32);
    cr_expect_eq(params[5].bytes, 24);
    cr_expect_eq(image_handle_kind(&function), IMAGE_HANDLE_FUNCTION);
    data_free(&cubin);
    cr_expect_eq(n_params(&function), 8, "nothing of the program's image is kept");
}

Test(image, copies_no_more_parameters_than_there_is_room_for)
{
    struct data cubin = data_load("kernels.sm_90.cubin");
    struct kernel_param params[2] = {{0}, {77, 77}};

    image_record(&module_a, cubin.at, 0);
    image_attach(&module_a, "mixed", &function, IMAGE_HANDLE_FUNCTION);
    cr_expect_eq(image_params(&function, params, 1), 8);
    cr_expect_eq(params[1].offset, 77);
    data_free(&cubin);
}

/* As nvcc puts it into programs. */
struct wrapper {
    uint32_t magic, version;
    const void *data, *unused;
};

static struct wrapper wrapper_of(const struct data *fatbin)
{
    return (struct wrapper){0x466243b1, 1, fatbin->at, NULL};
}

Test(image, reads_a_fatbin_directly_and_through_its_wrapper)
{
    struct data fatbin = data_load("pair.fatbin");
    struct wrapper wrapper = wrapper_of(&fatbin);

    cr_expect_eq(image_record(&module_a, fatbin.at, 75), 1);
    image_attach(&module_a, "pair", &function, IMAGE_HANDLE_FUNCTION);
    cr_expect_eq(n_params(&function), 3, "the entry for sm_75");
    cr_expect_eq(image_record(&module_b, &wrapper, 90), 1);
    image_attach(&module_b, "pair", &other, IMAGE_HANDLE_KERNEL);
    cr_expect_eq(n_params(&other), 2, "the entry for sm_90");
    data_free(&fatbin);
}

Test(image, says_so_when_an_image_tells_nothing)
{
    struct data fatbin = data_load("pair.zstd.fatbin");

    cr_expect_eq(image_record(&module_a, ".version 6.3\n", 0), -ENOENT);
    cr_expect_eq(image_record(&module_a, fatbin.at, 0), -ENOENT);
    cr_expect_eq(image_record(&module_a, NULL, 0), -ENOENT);
    image_attach(&module_a, "pair", &kernel, IMAGE_HANDLE_KERNEL);
    cr_expect_eq(n_params(&kernel), -ENOENT);
    cr_expect_eq(image_handle_kind(&kernel), IMAGE_HANDLE_KERNEL);
    cr_expect_eq(n_params(&other), -ENOENT);
    cr_expect_eq(image_handle_kind(&other), IMAGE_HANDLE_UNKNOWN);
    data_free(&fatbin);
}

Test(image, knows_a_function_by_its_kernel)
{
    struct data cubin = data_load("kernels.sm_75.cubin");

    image_record(&module_a, cubin.at, 0);
    image_attach(&module_a, "one_pointer", &kernel, IMAGE_HANDLE_KERNEL);
    image_attach_function(&kernel, &function);
    cr_expect_eq(n_params(&function), 1);
    cr_expect_eq(image_handle_kind(&function), IMAGE_HANDLE_FUNCTION);
    image_attach_function(&other, &other);
    cr_expect_eq(n_params(&other), -ENOENT);
    data_free(&cubin);
}

Test(image, forgets_an_owner_and_its_handles_only)
{
    struct data cubin = data_load("kernels.sm_75.cubin");

    image_record(&module_a, cubin.at, 0);
    image_record(&module_b, cubin.at, 0);
    image_attach(&module_a, "mixed", &kernel, IMAGE_HANDLE_KERNEL);
    image_attach_function(&kernel, &function);
    image_attach(&module_b, "mixed", &other, IMAGE_HANDLE_FUNCTION);
    image_forget(&module_a);
    cr_expect_eq(image_handle_kind(&kernel), IMAGE_HANDLE_UNKNOWN);
    cr_expect_eq(n_params(&function), -ENOENT);
    cr_expect_eq(n_params(&other), 8);
    image_forget(&module_a);
    data_free(&cubin);
}

Test(image, replaces_what_an_owner_and_a_handle_were)
{
    struct data cubin = data_load("kernels.sm_75.cubin"), fatbin = data_load("pair.fatbin");

    image_record(&module_a, cubin.at, 0);
    image_attach(&module_a, "mixed", &function, IMAGE_HANDLE_FUNCTION);
    image_record(&module_a, fatbin.at, 75);
    cr_expect_eq(n_params(&function), -ENOENT);
    image_attach(&module_a, "pair", &function, IMAGE_HANDLE_KERNEL);
    cr_expect_eq(n_params(&function), 3);
    cr_expect_eq(image_handle_kind(&function), IMAGE_HANDLE_KERNEL);
    data_free(&cubin);
    data_free(&fatbin);
}

/* The image ends where the mapping does, and its headers lead beyond. */
Test(image, reads_nothing_beyond_the_mapping_an_image_lies_in)
{
    struct data cubin = data_load("kernels.sm_75.cubin");
    size_t page = sysconf(_SC_PAGESIZE), room = align_up(cubin.bytes, page);
    unsigned char *map =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    cr_assert_neq(map, MAP_FAILED);
    cr_assert_eq(munmap(map + room, page), 0);
    memcpy(map + room - cubin.bytes, cubin.at, cubin.bytes);
    cr_expect_eq(image_record(&module_a, map + room - cubin.bytes, 0), 7);
    for (size_t missing = 1; missing < 1024; missing++) {
        unsigned char *image = map + room - cubin.bytes + missing;

        memcpy(image, cubin.at, cubin.bytes - missing);
        cr_assert_eq(image_record(&module_a, image, 0), -ENOENT, "%zu bytes missing", missing);
    }
    munmap(map, room);
    data_free(&cubin);
}

static uint64_t digest_of(const void *handle, const char *expected_name)
{
    uint64_t digest = 0;
    char *name = NULL;

    if (image_function(handle, &digest, &name))
        return 0;
    cr_expect_str_eq(name, expected_name);
    free(name);
    return digest;
}

Test(image, tells_a_function_by_all_bytes_of_its_image_and_its_name)
{
    struct data cubin = data_load("kernels.sm_75.cubin"),
                other_cubin = data_load("kernels.sm_90.cubin");
    uint64_t digest;

    image_identify(&module_a, cubin.at, false);
    image_attach(&module_a, "mixed", &function, IMAGE_HANDLE_FUNCTION);
    digest = digest_of(&function, "mixed");
    cr_expect_neq(digest, 0);
    image_identify(&module_b, cubin.at, false);
    image_attach(&module_b, "mixed", &other, IMAGE_HANDLE_FUNCTION);
    cr_expect_eq(digest_of(&other, "mixed"), digest, "wherever it is loaded");
    image_identify(&module_b, other_cubin.at, false);
    cr_expect_neq(digest_of(&other, "mixed"), digest, "other code");
    ((unsigned char *)cubin.at)[cubin.bytes / 2] ^= 1;
    image_identify(&module_b, cubin.at, false);
    cr_expect_neq(digest_of(&other, "mixed"), digest, "any bit");
    image_forget(&module_a);
    cr_expect_eq(digest_of(&function, "mixed"), 0);
    data_free(&cubin);
    data_free(&other_cubin);
}

Test(image, tells_functions_of_fatbins_and_of_text)
{
    struct data fatbin = data_load("pair.zstd.fatbin");
    struct wrapper wrapper = wrapper_of(&fatbin);
    uint64_t digest;

    image_identify(&module_a, fatbin.at, false);
    image_attach(&module_a, "pair", &kernel, IMAGE_HANDLE_KERNEL);
    image_attach_function(&kernel, &function);
    digest = digest_of(&kernel, "pair");
    cr_expect_neq(digest, 0, "nothing of it need be understood");
    cr_expect_eq(digest_of(&function, "pair"), digest);
    image_identify(&module_b, &wrapper, false);
    image_attach(&module_b, "pair", &other, IMAGE_HANDLE_KERNEL);
    cr_expect_eq(digest_of(&other, "pair"), digest, "the wrapper lies elsewhere in each process");
    image_identify(&module_b, ".version 6.3\n.target sm_75\n", false);
    image_attach(&module_b, "pair", &other, IMAGE_HANDLE_KERNEL);
    cr_expect_neq(digest_of(&other, "pair"), 0);
    data_free(&fatbin);
}

Test(image, does_not_tell_functions_of_what_has_no_known_end)
{
    image_identify(&module_a, "\x7fOTHER", false);
    image_attach(&module_a, "pair", &function, IMAGE_HANDLE_FUNCTION);
    cr_expect_eq(digest_of(&function, "pair"), 0);
    image_attach(&module_b, "pair", &other, IMAGE_HANDLE_FUNCTION);
    cr_expect_eq(digest_of(&other, "pair"), 0, "nor of what was never shown");
}

Test(image, reads_an_image_that_stays_when_it_is_asked_for)
{
    char text[] = ".version 6.3\n.target sm_75\n";
    uint64_t digest;

    image_identify(&module_a, text, false);
    image_attach(&module_a, "f", &function, IMAGE_HANDLE_FUNCTION);
    digest = digest_of(&function, "f");
    text[9] = '7';
    image_identify(&module_b, text, true);
    image_attach(&module_b, "f", &other, IMAGE_HANDLE_FUNCTION);
    text[9] = '6';
    cr_expect_eq(digest_of(&other, "f"), digest, "not before");
    text[9] = '7';
    cr_expect_eq(digest_of(&other, "f"), digest, "and once");
}
