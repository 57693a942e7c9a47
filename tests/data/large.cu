/* SPDX-License-Identifier: MIT */
/* A parameter beyond 4 KiB, which the compiler describes by another kind of record. */

struct table {
    int n;
    float *rows[600];
};

extern "C" __global__ void large(struct table table, char flag, float *out)
{
}
