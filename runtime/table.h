/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Hash tables that go without instead of ending the program: where memory is short HASH_ADD() adds
 * nothing, and the `hh.tbl` of what was to be added is NULL.
 */

#define HASH_NONFATAL_OOM 1
#include <uthash.h>
