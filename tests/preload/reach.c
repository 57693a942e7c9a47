/* SPDX-License-Identifier: MIT */
/*
 * One test per exported name: a call of the exported function that passes through ends in the
 * driver's function of that very name, twin or plain, and its answer comes back. On the recorder.
 *
 * With VRAMSHIM_DISABLE every entry passes through, else only those of the GATE rows.
 */

#include "tests/preload/probe.h"
#include "tests/preload/recorder/recorder.h"
#include "tests/preload/rows.h"

/* More arguments than any row has; all are integers or pointers, so the callee takes its own. */
typedef CUresult (*any_call)(long, long, long, long, long, long, long, long, long, long, long,
                             long);

static void reach(const char *symbol, unsigned int number)
{
    any_call call = (any_call)dlsym(RTLD_DEFAULT, symbol);
    int before = n_failed;
    CUresult result;

    recorder_forget();
    if (check(in_shim((void *)call), "%s is in %s", symbol, owner((void *)call))) {
        result = call(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
        check(strcmp(recorder_last(), symbol) == 0, "%s reached \"%s\"", symbol, recorder_last());
        check(result == CUDA_ERROR_NOT_SUPPORTED, "%s answered %d", symbol, (int)result);
    }
    printf("%s %u - %s reaches the driver's\n", n_failed == before ? "ok" : "not ok", number,
           symbol);
}

int main(void)
{
    bool disabled = getenv("VRAMSHIM_DISABLE") != NULL;
    unsigned int number = 0;

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        /* The recorder answers these itself. */
        if (strncmp(rows[i].symbol, "cuGetProcAddress", 16) == 0 ||
            strcmp(rows[i].symbol, "cuInit") == 0)
            continue;
        if (rows[i].kind != ROW_GATE && !(disabled && row_is_ours(&rows[i])))
            continue;
        reach(rows[i].symbol, ++number);
        if (rows[i].twin)
            reach(rows[i].twin, ++number);
    }
    printf("1..%u\n", number);
    return finish();
}
