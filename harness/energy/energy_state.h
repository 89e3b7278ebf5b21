// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* energy_state.h   What energy.c keeps of a run and energy_report.c reads. */
#ifndef PATCHMARK_ENERGY_STATE_H
#define PATCHMARK_ENERGY_STATE_H

#include <pthread.h>

#include "energy/energy.h"
#include "energy/power_file.h"

#define ENERGY_DEVICES_MAX 16 /* whose idle power is kept; -1 is none */

struct energy_idle {
    int device;
    double board_w; /* NaN: not to be had */
};

struct energy {
    struct energy_request request;
    struct rapl rapl;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct energy_window *window; /* the open one */
    bool started, ending;
    bool idled;
    struct energy_window idle; /* of the first idle time */
    struct energy_idle board[ENERGY_DEVICES_MAX];
    int boards;
    struct fault broken; /* what the power file became */
};

#endif
