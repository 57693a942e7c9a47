/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The kernels of the library's guard as C functions, where time is measured: interpreting them
 * takes several times as long as all that the library does, and a card runs them beside everything
 * else.
 *
 * They look at the bytes that the kernels look at, and do what those would do.
 */

void stand_in_register(void);
