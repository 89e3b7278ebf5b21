// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* energy.c   The sensors of a run: opened once, looked at while a window is open. Counters of
 * processors move every millisecond and begin again after minutes, so a thread looks twenty times a
 * second: it costs a core some microseconds each, and a window of ten seconds has its refreshes. */
#include "energy/energy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/patchmark.h"
#include "energy/energy_state.h"
#include "timing/measure.h"

#define LOOK_NS 50000000

static double utc_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- request --------------------------------------------------------------------------------- */

static enum status check_file(struct energy_request *r, struct fault *fault)
{
    struct power_file f;
    if (r->power_scope && !r->power_file)
        return fault_set(fault, ST_BAD_INPUT,
                         "--power-scope says what --power-file CSV measures;"
                         " give that too");
    if (r->power_scope)
        TRY(power_scope_check(r->power_scope, "--power-scope", fault));
    if (!r->power_file)
        return ST_OK;
    TRY(power_file_read(r->power_file, &f, fault));
    enum status s = ST_OK;
    if (!r->power_scope && !f.scope[0])
        s = fault_set(fault, ST_BAD_INPUT,
                      "%s does not say what its meter sees; add a line '# scope: system' (or"
                      " chassis, package, board) or give --power-scope",
                      r->power_file);
    else if (r->power_scope && f.scope[0] && strcmp(r->power_scope, f.scope) != 0)
        s = fault_set(fault, ST_BAD_INPUT, "--power-scope %s, but %s says '# scope: %s'",
                      r->power_scope, r->power_file, f.scope);
    power_file_free(&f);
    return s;
}

enum status energy_open(const struct energy_request *request, struct energy **out,
                        struct fault *fault)
{
    struct energy_request r = *request;
    *out = NULL;
    if (r.idle_s != 0 && !(r.idle_s >= ENERGY_LEAST_S && r.idle_s <= 3600))
        return fault_set(fault, ST_BAD_INPUT, "--idle-power wants %d to 3600 seconds",
                         ENERGY_LEAST_S);
    TRY(check_file(&r, fault));
    struct energy *e = calloc(1, sizeof *e);
    if (!e)
        return fault_set(fault, ST_NO_MEMORY, "no memory for the sensors of energy");
    e->request = r;
    rapl_open(&e->rapl, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    *out = e;
    return ST_OK;
}

void energy_close(struct energy *e)
{
    if (!e)
        return;
    if (e->started) {
        pthread_mutex_lock(&e->lock);
        e->ending = true;
        pthread_cond_signal(&e->changed);
        pthread_mutex_unlock(&e->lock);
        pthread_join(e->thread, NULL);
    }
    pthread_cond_destroy(&e->changed);
    pthread_mutex_destroy(&e->lock);
    free(e);
}

bool energy_asked(const struct energy *e)
{
    return e->request.power_file || e->request.idle_s > 0 || e->request.asked;
}

enum status energy_status(const struct energy *e, struct fault *fault)
{
    return e && e->broken.text[0] ? fault_set(fault, ST_BAD_INPUT, "%s", e->broken.text) : ST_OK;
}

/* ---- windows --------------------------------------------------------------------------------- */

/* With the lock held. */
static void look(const struct energy *e, struct energy_window *w)
{
    for (int i = 0; i < e->rapl.count; i++)
        rapl_look(&e->rapl.domain[i], &w->track[i], clock_seconds());
}

static void *watch(void *user)
{
    struct energy *e = user;
    pthread_mutex_lock(&e->lock);
    while (!e->ending) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += LOOK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!e->window)
            pthread_cond_wait(&e->changed, &e->lock);
        else if (pthread_cond_timedwait(&e->changed, &e->lock, &until) != 0 && e->window)
            look(e, e->window);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

static void exchange(struct energy *e, struct energy_window *counted, struct energy_window *next)
{
    pthread_mutex_lock(&e->lock);
    look(e, counted);
    e->window = next;
    pthread_cond_signal(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

void energy_window_open(struct energy *e, struct energy_window *w)
{
    if (!e)
        return;
    if (!e->started && e->rapl.count)
        e->started = pthread_create(&e->thread, NULL, watch, e) == 0;
    *w = (struct energy_window){.begin_s = clock_seconds(), .begin_utc_s = utc_seconds()};
    exchange(e, w, w);
}

void energy_window_close(struct energy *e, struct energy_window *w)
{
    if (!e)
        return;
    w->end_s = clock_seconds();
    w->end_utc_s = utc_seconds();
    exchange(e, w, NULL);
    for (int i = 0; i < e->rapl.count; i++)
        rapl_settle(&w->track[i]);
}

/* ---- idle ------------------------------------------------------------------------------------ */

static void sleep_through(double seconds)
{
    const double end = clock_seconds() + seconds;
    for (double left; (left = end - clock_seconds()) > 0 && !interrupted_by;) {
        progress_line("idle power: %.0f s left", left);
        nanosleep(&(struct timespec){.tv_nsec = left < 0.2 ? (long)(left * 1e9) : 200000000}, NULL);
    }
    progress_line(NULL);
}

static double board_watts(const struct nvml_window *w)
{
    if (w->energy_s >= ENERGY_LEAST_S && w->energy_refreshes >= ENERGY_LEAST_REFRESHES)
        return w->energy_j / w->energy_s;
    return w->sampled_s >= ENERGY_LEAST_S ? w->sampled_j / w->sampled_s : NAN;
}

void energy_idle(struct energy *e, int device, struct nvml *n)
{
    struct nvml_window board = {.count = 0};
    struct energy_window here;
    if (!e || !(e->request.idle_s > 0) || interrupted_by)
        return;
    bool known = device < 0 && e->idled;
    for (int i = 0; i < e->boards; i++)
        known = known || e->board[i].device == device;
    if (known || e->boards == ENERGY_DEVICES_MAX)
        return;
    nvml_window_open(n, &board);
    energy_window_open(e, &here);
    sleep_through(e->request.idle_s);
    energy_window_close(e, &here);
    nvml_window_close(n, &board);
    if (!e->idled)
        e->idle = here;
    e->idled = true;
    if (device >= 0)
        e->board[e->boards++] = (struct energy_idle){device, n ? board_watts(&board) : NAN};
    nvml_window_free(&board);
}
