/* SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <pthread.h>
#include "runtime/gate.h"

enum {
    THREADS = 4,
    ROUNDS = 20000,
};

static atomic_bool stop;
static atomic_bool inside;
static uint64_t guarded; /* written while closed, read while inside: a race unless the gate works */
static _Atomic uint64_t torn;

static void *pass(void *arg)
{
    while (!atomic_load(&stop)) {
        uint64_t before;

        gate_enter();
        before = guarded;
        if (before != guarded || before % 2)
            atomic_fetch_add(&torn, 1);
        gate_leave();
    }
    return NULL;
}

Test(gate, nobody_is_inside_while_it_is_closed)
{
    pthread_t threads[THREADS];

    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, pass, NULL);
    for (int i = 0; i < ROUNDS; i++) {
        cr_assert(gate_close(10000));
        guarded++;
        guarded++;
        gate_open();
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(torn, 0);
}

static void *stay(void *arg)
{
    gate_enter();
    atomic_store(&inside, true);
    while (!atomic_load(&stop))
        ;
    gate_leave();
    return NULL;
}

Test(gate, gives_up_closing_on_somebody_who_stays)
{
    pthread_t thread;

    pthread_create(&thread, NULL, stay, NULL);
    while (!atomic_load(&inside))
        ;
    cr_assert_not(gate_close(30));
    gate_enter(); /* it is open again */
    gate_leave();
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
    cr_assert(gate_close(1000));
    gate_open();
}

Test(gate, a_reset_opens_it_and_empties_it)
{
    gate_enter();
    gate_reset();
    cr_assert(gate_close(1000));
    gate_reset();
    gate_enter();
    gate_leave();
}
