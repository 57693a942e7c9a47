/* SPDX-License-Identifier: MIT */
/* Kernels whose parameters the tests know; README.md says how the binaries were made of them. */

struct view {
    float *data;
    int rows;
    short columns;
    const float *bias;
};

struct triple {
    char tag[3];
};

struct late {
    int first;
    float weights[5];
};

struct big {
    long long head;
    int *items[3];
    char tail;
};

extern "C" __global__ void no_params(void)
{
}

extern "C" __global__ void one_pointer(float *out)
{
}

extern "C" __global__ void mixed(char flag, short count, float *out, long long stride, int n,
                                 struct view view, struct triple triple, double scale)
{
}

/* The struct is at offset 4, so its first 8-aligned word begins 4 bytes into it. */
extern "C" __global__ void unaligned_struct(int n, struct late late, float *out)
{
}

extern "C" __global__ void nested_pointers(struct big big, unsigned char last)
{
}

extern "C" __global__ void sixteen_pointers(float *a, float *b, float *c, float *d, float *e,
                                            float *f, float *g, float *h, float *i, float *j,
                                            float *k, float *l, float *m, float *n, float *o,
                                            float *p)
{
}

/* Found under its mangled name only. */
template <typename T> __global__ void templated(T *out, T value)
{
}

template __global__ void templated<double>(double *, double);
