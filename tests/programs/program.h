/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the programs of this folder share. Each computes something on the device, compares it with
 * the same computed by the host, and prints one line that says how much memory it used and the
 * checksum of what it computed. program.c has main(); a program defines program_name and
 * program_run().
 *
 * Memory is for the whole process: nothing is given back unless that is what a program tests.
 */

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

extern const char program_name[];
void program_run(void);

/* Ends the program with one line when a call failed. */
void require(cudaError_t error, const char *call);
#define CHECK(call) require((call), #call)

/* Ends the program with status 77: it cannot be run here. */
void skip(const char *why);

/* Memory of the device, counted, and memory of the host. */
void *device_memory(size_t bytes);
void *host_memory(size_t bytes);
/* Memory of the device that came another way. */
void count_memory(size_t bytes);

/* Device memory filled with what the host has. */
void *upload(const void *from, size_t bytes);
/* What the device has, added to the checksum. */
void *download(const void *from, size_t bytes);

/* Numbers of [-1, 1], the same in every run. */
void fill_floats(float *values, size_t count);
/* Integers of [low, high]. */
void fill_bytes(int8_t *values, size_t count, int low, int high);

/*
 * Work that only launches, copies and sets on `stream`, `times` times: eagerly, or, when the
 * program was started with --graph, captured once and replayed. Waits for it.
 */
void repeat(void (*work)(cudaStream_t stream, void *data), void *data, int times);
int wants_graph(void);
cudaStream_t program_stream(void);

/* Ends the program when a value is further than `tolerance` times (1 + |expected|) from expected.
 */
void compare_floats(const char *what, const float *got, const float *expected, size_t count,
                    double tolerance);
void compare_ints(const char *what, const int *got, const int *expected, size_t count);

#ifdef __cplusplus
}
#endif
