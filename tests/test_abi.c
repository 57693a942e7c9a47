/* SPDX-License-Identifier: MIT */
/*
 * The call table and the project's own driver header against the CUDA toolkit's header: one test
 * per call, one per type with its members, one for all constants and one per way a plain name is
 * meant. Skipped where no toolkit is installed.
 */

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#ifdef HAVE_TOOLKIT
#include "tests/abi/table.h"

static unsigned int n_tests;
static unsigned int n_failed;

static void report(bool holds, const char *format, const char *name)
{
    n_tests++;
    n_failed += !holds;
    printf("%s %u - ", holds ? "ok" : "not ok", n_tests);
    printf(format, name);
    printf("\n");
}

static void test_prototypes(void)
{
    for (size_t i = 0; i < abi_prototype_count; i++)
        report(abi_prototypes[i].plain_matches && abi_prototypes[i].twin_matches,
               "%s has the toolkit's parameters", abi_prototypes[i].symbol);
}

static bool rows_agree(const struct abi_row *own, const struct abi_row *toolkit)
{
    if (own->value == toolkit->value && own->size == toolkit->size)
        return true;
    printf("# %s is %lld, %zu bytes; the toolkit's is %lld, %zu bytes\n", own->name, own->value,
           own->size, toolkit->value, toolkit->size);
    return false;
}

static void test_constants(void)
{
    bool agree = true;

    for (size_t i = 0; i < abi_count; i++)
        if (abi_own[i].kind == ABI_CONSTANT)
            agree &= rows_agree(&abi_own[i], &abi_toolkit[i]);
    report(agree, "%s has the toolkit's constants", "runtime/cuda/values.h");
}

/* "CUmemLocation.id" is a member of "CUmemLocation". */
static bool is_member_of(const char *member, const char *type)
{
    size_t n = strlen(type);

    return strncmp(member, type, n) == 0 && member[n] == '.';
}

static void test_types(void)
{
    for (size_t i = 0; i < abi_count; i++) {
        bool agree = true;

        if (abi_own[i].kind != ABI_TYPE)
            continue;
        agree &= rows_agree(&abi_own[i], &abi_toolkit[i]);
        for (size_t k = 0; k < abi_count; k++)
            if (abi_own[k].kind == ABI_MEMBER && is_member_of(abi_own[k].name, abi_own[i].name))
                agree &= rows_agree(&abi_own[k], &abi_toolkit[k]);
        report(agree, "%s has the toolkit's layout", abi_own[i].name);
    }
}

static void test_names(const struct abi_name *own, const struct abi_name *toolkit, const char *mode)
{
    bool agree = true;

    for (size_t i = 0; i < abi_name_count; i++) {
        if (strcmp(own[i].meaning, toolkit[i].meaning) == 0)
            continue;
        printf("# %s means %s; the toolkit's means %s\n", own[i].plain, own[i].meaning,
               toolkit[i].meaning);
        agree = false;
    }
    report(agree, "plain names mean what the toolkit's do %s", mode);
}

/* True when `symbol` is what the plain name without its version suffix means. */
static bool is_named(const char *symbol)
{
    size_t n = strlen(symbol);
    bool versioned = n > 3 && symbol[n - 3] == '_' && symbol[n - 2] == 'v';

    if (!versioned)
        return true;
    for (size_t i = 0; i < abi_name_count; i++)
        if (strlen(abi_own_legacy[i].plain) == n - 3 &&
            strncmp(abi_own_legacy[i].plain, symbol, n - 3) == 0)
            return true;
    printf("# %s has no plain name\n", symbol);
    return false;
}

static void test_every_version_is_named(void)
{
    bool named = true;

    for (size_t i = 0; i < abi_prototype_count; i++)
        if (strcmp(abi_prototypes[i].symbol, "cuCtxGetDevice_v2") != 0 &&
            strcmp(abi_prototypes[i].symbol, "cuCtxSynchronize_v2") != 0)
            named &= is_named(abi_prototypes[i].symbol);
    report(named, "%s names every call of a later version", "runtime/cuda/names.h");
}

int main(void)
{
    test_prototypes();
    test_constants();
    test_types();
    test_names(abi_own_legacy, abi_toolkit_legacy, "by default");
    test_names(abi_own_per_thread, abi_toolkit_per_thread, "with per-thread default streams");
    test_every_version_is_named();
    printf("1..%u\n", n_tests);
    return n_failed != 0;
}

#else

int main(void)
{
    printf("1..0 # SKIP no CUDA toolkit header, version 13.0 or newer, to compare with\n");
    return 0;
}

#endif
