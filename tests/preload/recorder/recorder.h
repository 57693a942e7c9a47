/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A driver that does nothing but remember: tests/preload/recorder/libcuda.so.1.
 *
 * Every row of the call table and every twin is exported. A call answers CUDA_ERROR_NOT_SUPPORTED;
 * cuInit, cuDriverGetVersion, cuCtxGetCurrent and cuGetProcAddress answer as a driver would. In the
 * child of a process that called cuInit, every call answers CUDA_ERROR_NOT_INITIALIZED.
 */

/* Exported name of the call made last, by any thread; "" when there was none. */
const char *recorder_last(void);
void recorder_forget(void);
