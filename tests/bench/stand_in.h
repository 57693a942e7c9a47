/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The library's guard kernel as a C function, where time is measured: interpreting it takes several
 * times as long as all that the library does, and a card runs it beside everything else.
 *
 * It looks at every byte as the kernel does, and does what that would do.
 */

void stand_in_register(void);
