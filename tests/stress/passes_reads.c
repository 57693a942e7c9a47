/* SPDX-License-Identifier: MIT */
/* Programs that write nothing but read otherwise than their parameters or their past suggest. */
#include "tests/stress/stage.h"

#include <stddef.h>

enum { LEARNED = 6 }; /* passes by which a plan is made, if one is */

static void read_half(void)
{
    for (uint32_t i = 0; i < TENSORS; i += 2)
        read_tensor(i);
}

/* Each pass in an order of its own. */
static void random_pass(uint32_t number)
{
    uint32_t order[TENSORS];
    uint32_t state = number * 2654435761u + 1;

    for (uint32_t i = 0; i < TENSORS; i++)
        order[i] = i;
    for (uint32_t i = TENSORS - 1; i > 0 && number >= LEARNED; i--) {
        uint32_t other;
        uint32_t swapped = order[i];

        state = state * 1664525u + 1013904223u;
        other = (state >> 16) % (i + 1);
        order[i] = order[other];
        order[other] = swapped;
    }
    for (uint32_t i = 0; i < TENSORS; i++)
        read_tensor(order[i]);
}

static void in_order(uint32_t number)
{
    (void)number;
    read_tensors();
}

static void read_separately(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++)
        read_own(i);
}

/* Every fourth tensor by its address in device memory. */
static void read_via(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++) {
        if (i % 4 == 1)
            LAUNCH(READ_VIA, stage.sum, stage.table, i, TENSOR);
        else
            read_tensor(i);
    }
}

/* A kernel puts the addresses that it is given into memory; they are read through much later. */
static void store_and_read(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++) {
        LAUNCH(STORE, stage.table, TENSORS + i, tensor_at(i));
        read_tensor(i);
    }
    for (uint32_t i = 0; i < TENSORS; i += 3)
        LAUNCH(READ_VIA, stage.sum, stage.table, TENSORS + i, TENSOR);
}

/* What stands before the address that is given, which is where another tensor begins. */
static void read_back(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++) {
        if (i % 3 == 1)
            LAUNCH(READ_BACK, stage.sum, tensor_at(i) + TENSOR, TENSOR);
        else
            read_tensor(i);
    }
}

/* The same from further away. */
static void read_far_back(uint32_t number)
{
    (void)number;
    read_half();
    for (uint32_t i = 9; i < TENSORS; i += 2)
        LAUNCH(READ_BACK, stage.sum, tensor_at(i), 4 * (uint64_t)TENSOR);
    read_half();
}

static void read_at(uint32_t tensor, uint32_t from)
{
    LAUNCH(READ_AT, stage.sum, tensor_at(from), tensor_at(tensor) - tensor_at(from), TENSOR);
}

/* An address and an offset by which another tensor is reached. */
static void read_far(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++) {
        read_tensor(i);
        if (i % 4 == 2)
            read_at(i + 9, i);
    }
}

/* All of it from where the allocation begins, beside launches that name the tensors. */
static void read_from_base(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++) {
        if (i % 4 == 1)
            read_at(i, 0);
        else
            read_tensor(i);
    }
}

static void read_all_from_base(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++)
        read_at(i, 0);
}

/* Only once the pass is known. */
static void read_far_later(uint32_t number)
{
    read_tensors();
    if (number >= LEARNED)
        read_at(number * 7, number * 3);
}

/* A kernel that is given both ends; the last is the allocation's. */
static void read_between(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < TENSORS; i++)
        LAUNCH(READ_TO, stage.sum, tensor_at(i), tensor_at(i) + TENSOR);
}

static void read_between_far(uint32_t number)
{
    (void)number;
    read_half();
    for (uint32_t i = 1; i + 4 < TENSORS; i += 4)
        LAUNCH(READ_TO, stage.sum, tensor_at(i), tensor_at(i + 3));
}

/* One launch reads more than the ring will hold. */
static void read_much(uint32_t number)
{
    (void)number;
    for (uint32_t i = 0; i < 5; i++)
        read_tensor(i);
    LAUNCH(READ, stage.sum, tensor_at(5), 8 * (uint64_t)TENSOR);
    for (uint32_t i = 13; i < TENSORS; i++)
        read_tensor(i);
}

/* Parts of tensors, other ones in every pass. */
static void read_slices(uint32_t number)
{
    for (uint32_t i = 0; i < TENSORS; i++) {
        uint64_t offset = (uint64_t)(number * 5 + i * 3) % 16 * (128 << 10);

        LAUNCH(READ, stage.sum, tensor_at(i) + offset, TENSOR - offset);
    }
}

/* Components by turns, each for some passes. */
static void read_in_phases(uint32_t number)
{
    uint32_t first = number / 6 % 2 * (TENSORS / 2);

    for (uint32_t times = 0; times < 2; times++) {
        for (uint32_t i = 0; i < TENSORS / 2; i++)
            read_tensor(first + i);
    }
    if (number % 6 == 5)
        read_tensors();
}

const struct passes_program programs_that_read[] = {
    {"whole_slab", 12, stage_start, in_order, NULL, false, stage_stop, true, false},
    {"separate", 12, stage_start_own, read_separately, NULL, false, stage_stop_own, true, false},
    {"other_orders", 16, stage_start, random_pass, NULL, false, stage_stop, true, true},
    {"read_via", 12, stage_start, read_via, NULL, false, stage_stop, true, true},
    {"stored", 12, stage_start, store_and_read, NULL, false, stage_stop, true, true},
    {"back", 12, stage_start, read_back, NULL, false, stage_stop, true, false},
    {"far_back", 12, stage_start, read_far_back, NULL, false, stage_stop, false, false},
    {"far", 12, stage_start, read_far, NULL, false, stage_stop, true, false},
    {"from_base", 12, stage_start, read_from_base, NULL, false, stage_stop, true, false},
    {"all_base", 12, stage_start, read_all_from_base, NULL, false, stage_stop, false, false},
    {"far_later", 16, stage_start, read_far_later, NULL, false, stage_stop, true, true},
    {"between", 12, stage_start, read_between, NULL, false, stage_stop, false, false},
    {"between_far", 12, stage_start, read_between_far, NULL, false, stage_stop, false, false},
    {"much", 12, stage_start, read_much, NULL, false, stage_stop, true, true},
    {"slices", 16, stage_start, read_slices, NULL, false, stage_stop, false, false},
    {"phases", 24, stage_start, read_in_phases, NULL, false, stage_stop, false, false},
    {NULL},
};
