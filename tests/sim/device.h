/* SPDX-License-Identifier: MIT */
#pragma once

/* Limits of the simulated card, as its attributes tell them and as launches are held to. */

#define DEVICE_MAX_THREADS          1024
#define DEVICE_MAX_BLOCK_X          1024
#define DEVICE_MAX_BLOCK_Y          1024
#define DEVICE_MAX_BLOCK_Z          64
#define DEVICE_MAX_GRID_X           2147483647
#define DEVICE_MAX_GRID_YZ          65535
#define DEVICE_SHARED_BYTES         49152
#define DEVICE_SHARED_OPTIN_BYTES   101376
#define DEVICE_MULTIPROCESSORS      28
#define DEVICE_MAX_RESIDENT_THREADS 1536
#define DEVICE_MAX_RESIDENT_BLOCKS  16
