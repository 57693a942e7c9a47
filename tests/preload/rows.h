/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The rows of the call table as data.
 */

#include <stdbool.h>
#include <stddef.h>
#include "runtime/driver.h"
#include "runtime/util.h"

enum row_kind {
    ROW_HOOK,
    ROW_GATE,
    ROW_REAL,
    ROW_PASS,
};

static const struct row {
    enum row_kind kind;
    const char *symbol;
    int since;
    const char *twin; /* exported name of the twin; NULL where there is none */
} rows[] = {
#define STRING(x)               #x
#define NAME(x)                 STRING(x)
#define TWIN_NAME_PLAIN(symbol) NULL
#define TWIN_NAME_PTSZ(symbol)  #symbol "_ptsz"
#define TWIN_NAME_PTDS(symbol)  #symbol "_ptds"
#define HOOK(symbol, since, twin, params, args)                                                    \
    {ROW_HOOK, #symbol, since, TWIN_NAME_##twin(symbol)},
#define GATE(symbol, since, twin, params, args)                                                    \
    {ROW_GATE, #symbol, since, TWIN_NAME_##twin(symbol)},
#define REAL(symbol, since, twin, params, args)                                                    \
    {ROW_REAL, #symbol, since, TWIN_NAME_##twin(symbol)},
#define PASS(symbol, since, twin, params, args)                                                    \
    {ROW_PASS, #symbol, since, TWIN_NAME_##twin(symbol)},
#include "runtime/driver_calls.def"
};

static inline bool row_is_ours(const struct row *row)
{
    return row->kind == ROW_HOOK || row->kind == ROW_GATE;
}
