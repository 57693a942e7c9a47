/* SPDX-License-Identifier: MIT */
/*
 * One test per row of the call table: however a program looks the call up, it gets our entry when
 * we stand in for it and the driver's function when we do not. With VRAMSHIM_DISABLE every look-up
 * in the driver gives the driver's. `rows list` prints the names that the shared object must
 * export.
 */

#include "tests/preload/probe.h"
#include "tests/preload/rows.h"

static void *driver;
static CUresult (*get_proc)(const char *, void **, int, cuuint64_t);
static CUresult (*get_proc_v2)(const char *, void **, int, cuuint64_t,
                               CUdriverProcAddressQueryResult *);
static bool disabled;

static void check_address(const char *way, const char *symbol, const void *address, bool ours)
{
    if (ours)
        check(in_shim(address), "%s of %s gives a function in %s", way, symbol, owner(address));
    else
        check(in_driver(address), "%s of %s gives a function in %s", way, symbol, owner(address));
    check(strcmp(exported_name(address), symbol) == 0, "%s of %s gives %s", way, symbol,
          exported_name(address));
}

static void check_symbol(const struct row *row, const char *symbol)
{
    check_address("dlsym on the handle", symbol, dlsym(driver, symbol),
                  row_is_ours(row) && !disabled);
    check_address("dlsym with RTLD_DEFAULT", symbol, dlsym(RTLD_DEFAULT, symbol), row_is_ours(row));
}

/* The name that cuGetProcAddress() knows a call by. */
static void base_name(const char *symbol, char *out, size_t size)
{
    size_t n = strlen(symbol);

    snprintf(out, size, "%s", symbol);
    if (n > 3 && symbol[n - 3] == '_' && symbol[n - 2] == 'v')
        out[n - 3] = '\0';
}

static void check_query(const struct row *row, cuuint64_t flags, const char *symbol)
{
    CUdriverProcAddressQueryResult status = CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    bool ours = row_is_ours(row) && !disabled;
    char base[128];
    void *address = NULL;

    base_name(row->symbol, base, sizeof(base));
    check(get_proc(base, &address, row->since, flags) == CUDA_SUCCESS, "cuGetProcAddress of %s",
          base);
    check_address("cuGetProcAddress", symbol, address, ours);
    address = NULL;
    check(get_proc_v2(base, &address, row->since, flags, &status) == CUDA_SUCCESS &&
              status == CU_GET_PROC_ADDRESS_SUCCESS,
          "cuGetProcAddress_v2 of %s", base);
    check_address("cuGetProcAddress_v2", symbol, address, ours);
}

static void check_row(const struct row *row)
{
    check_symbol(row, row->symbol);
    if (row->twin)
        check_symbol(row, row->twin);
    check_query(row, CU_GET_PROC_ADDRESS_DEFAULT, row->symbol);
    check_query(row, CU_GET_PROC_ADDRESS_LEGACY_STREAM, row->symbol);
    check_query(row, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM,
                row->twin ? row->twin : row->symbol);
}

static void print_exports(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (!row_is_ours(&rows[i]))
            continue;
        puts(rows[i].symbol);
        if (rows[i].twin)
            puts(rows[i].twin);
    }
    puts("dlsym");
#define NVML_HOOK(symbol, params, args) puts(#symbol);
#include "runtime/nvml_calls.def"
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "list") == 0) {
        print_exports();
        return finish();
    }
    disabled = getenv("VRAMSHIM_DISABLE") != NULL;
    driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (!driver) {
        printf("Bail out! %s\n", dlerror());
        return 1;
    }
    get_proc = dlsym(driver, "cuGetProcAddress");
    get_proc_v2 = dlsym(driver, "cuGetProcAddress_v2");

    printf("1..%zu\n", ARRAY_SIZE(rows));
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        int before = n_failed;

        check_row(&rows[i]);
        printf("%s %zu - %s is routed%s\n", n_failed == before ? "ok" : "not ok", i + 1,
               rows[i].symbol, disabled ? " nowhere when disabled" : "");
    }
    return finish();
}
