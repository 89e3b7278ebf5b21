// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* run_replicas.c   A thread of the supervisor for each worker: it waits for lines, and nothing that
 * computes is on it. */
#include "run/run_replicas.h"
#include "base/worker.h"
#include "machine/host.h"
#include "run/run_scenario.h"
#include "timing/measure.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PROGRESS_NS 100000000

struct team;

struct replica {
    struct team *team;
    struct outcome *o;
    struct worker *w;
    pthread_t thread;
    enum status status;
    struct fault fault;
    double *end_s; /* of each clip */
    int64_t clips; /* whose end is known */
    bool ended;    /* its worker may no longer be touched by others */
};

struct team {
    const struct run_limits *limits;
    struct replica replica[REPLICAS_MAX];
    struct replica_place place[REPLICAS_MAX];
    int count, ready, ended;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool begun, stopping;
    const struct replica *failed; /* the first that did */
    enum stop stop;
    double start_s, stop_s;
    struct energy_window drawn;
};

/* ---- one replica's thread -------------------------------------------------------------------- */

/* The first failure decides the row; the others have nothing left to work for. */
static void fail(struct replica *r)
{
    struct team *t = r->team;
    pthread_mutex_lock(&t->lock);
    if (!t->failed) {
        t->failed = r;
        for (int i = 0; i < t->count; i++)
            if (&t->replica[i] != r && !t->replica[i].ended)
                worker_hang_up(t->replica[i].w);
    }
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

/* Until all are here; false where one never will be. */
static bool meet(struct replica *r)
{
    struct team *t = r->team;
    pthread_mutex_lock(&t->lock);
    if (++t->ready == t->count && !t->failed) {
        energy_window_open(t->limits->energy, &t->drawn);
        t->start_s = clock_seconds();
        t->begun = true;
        pthread_cond_broadcast(&t->changed);
    }
    while (!t->begun && !t->failed)
        pthread_cond_wait(&t->changed, &t->lock);
    const bool whole = !t->failed;
    pthread_mutex_unlock(&t->lock);
    return whole;
}

/* Notes a clip's end; true where it was this replica's last. */
static bool finished(struct replica *r)
{
    struct team *t = r->team;
    const double now_s = clock_seconds();
    pthread_mutex_lock(&t->lock);
    r->end_s[r->clips++] = now_s;
    bool enough = now_s - t->start_s >= t->limits->budget_s, full = false;
    for (int i = 0; i < t->count; i++) {
        enough = enough && t->replica[i].clips >= t->limits->least_samples;
        full = full || t->replica[i].clips == SAMPLES_MAX;
    }
    if (!t->stopping && (enough || full)) {
        t->stopping = true;
        t->stop = enough ? STOP_BUDGET : STOP_COUNT;
        t->stop_s = now_s;
        energy_window_close(t->limits->energy, &t->drawn);
    }
    const bool last = t->stopping || t->failed;
    pthread_mutex_unlock(&t->lock);
    return last;
}

static enum status live(struct replica *r)
{
    const struct run_limits *limits = r->team->limits;
    const int64_t place = r - r->team->replica;
    TRY(outcome_wait(r->o, r->w, limits, "ready", &r->fault));
    if (!meet(r))
        return ST_OK;
    do {
        const int64_t clip = r->o->c.spec.scenario ? r->o->samples * r->team->count + place + 1
                                                   : outcome_next_clip(r->o, limits);
        TRY(outcome_clip(r->o, r->w, limits, clip, &r->fault));
    } while (!finished(r));
    return outcome_end(r->o, r->w, limits, &r->fault);
}

static void *replica_main(void *user)
{
    struct replica *r = user;
    r->status = live(r);
    if (r->status != ST_OK)
        fail(r);
    pthread_mutex_lock(&r->team->lock);
    r->ended = true;
    r->team->ended++;
    pthread_mutex_unlock(&r->team->lock);
    return NULL;
}

/* ---- before ---------------------------------------------------------------------------------- */

void replicas_resolve(struct case_spec *s)
{
    int devices = 0;
    struct fault unused = {{0}};
    const char *first = replica_device_first(s->device);
    if (first) {
        s->devices = s->device;
        s->device = first;
    }
    if (s->scenario && !strcmp(s->scenario, "offline") && !s->devices && s->replicas == CASE_UNSET)
        s->replicas = !strcmp(s->device, "cpu") ? replica_nodes("") : 1;
    if (s->devices && s->replicas == CASE_UNSET) {
        replica_places_cuda(s->devices, NULL, &devices, &unused);
        s->replicas = devices ? devices : 1;
    }
    if (s->replicas == CASE_UNSET || s->threads != CASE_UNSET)
        return;
    const int64_t share = host_cores() / s->replicas;
    s->threads = share ? share : 1;
}

static enum status places_here(int replicas, int threads, struct replica_place *place,
                               struct fault *fault)
{
    struct topology t;
    topology_read(&t);
    return replica_places_cpu(&t, "", replicas, threads, place, fault);
}

static enum status find_places(const struct outcome *o, struct replica_place *place,
                               struct fault *fault)
{
    const struct case_spec *s = &o->c.spec;
    int devices = 1;
    if (s->replicas > REPLICAS_MAX)
        return fault_set(fault, ST_BAD_INPUT, "--replicas should lie between 1 and %d",
                         REPLICAS_MAX);
    if (o->c.config.device == DEVICE_CPU)
        return places_here((int)s->replicas, o->c.config.threads, place, fault);
    place[0] = (struct replica_place){.visible = -1, .node = o->c.config.device_index};
    snprintf(place[0].device, sizeof place[0].device, "%s", s->device);
    if (s->devices)
        TRY(replica_places_cuda(s->devices, place, &devices, fault));
    if (s->replicas <= devices)
        return ST_OK;
    return fault_set(fault, ST_UNAVAILABLE,
                     "%lld replicas want a device each, and --device %s names %d; as --device"
                     " cuda:0-%lld",
                     (long long)s->replicas, s->devices ? s->devices : s->device, devices,
                     (long long)s->replicas - 1);
}

/* Weights that stay are read once; else every clip waits for them. What fits of the plans in that
 * order, unless the case says which. */
static enum status choose_residency(struct outcome *o, const struct engine *engine, int64_t count,
                                    size_t available, struct fault *fault)
{
    static const enum residency order[] = {RESIDENCY_RESIDENT, RESIDENCY_STAGE,
                                           RESIDENCY_BLOCK_STREAM};
    const size_t replicas = (size_t)count;
    size_t each = engine_peak_bytes(engine);
    if (o->c.config.residency != RESIDENCY_AUTO && replicas * each <= available)
        return ST_OK;
    for (int i = 0; i < 3 && o->c.config.residency == RESIDENCY_AUTO; i++) {
        const size_t needed = engine_residency_bytes(engine, order[i]);
        o->c.spec.residency = residency_names[order[i]];
        if (replicas * needed <= available)
            return ST_OK;
        each = needed < each ? needed : each;
    }
    return fault_set(
        fault, ST_NO_MEMORY,
        "%zu worker%s of this case want %.3f GiB, %.3f GiB each, and %.3f GiB are free;"
        " ask for fewer or for a smaller clip",
        replicas, replicas == 1 ? "" : "s", (double)(replicas * each) / (1 << 30),
        (double)each / (1 << 30), (double)available / (1 << 30));
}

/* On the CPU all share the memory, so it is looked at here; a device's worker looks itself. */
enum status replicas_fit(struct outcome *o, int64_t count, struct fault *fault)
{
    struct engine *engine;
    if (o->c.config.device != DEVICE_CPU)
        return ST_OK;
    TRY(case_prompts(&o->c, fault));
    TRY(engine_new(&o->c.config, &engine, fault));
    enum status s = engine_plan(engine, &o->c.request, false, fault);
    if (s == ST_OK)
        s = choose_residency(o, engine, count, engine_available_bytes(engine), fault);
    engine_free(engine);
    return s;
}

/* Unpinned where that is asked for. */
static void place_replica(struct outcome *o, const struct replica_place *place,
                          const struct run_limits *limits)
{
    if (o->c.config.device == DEVICE_CPU && limits->pin && strcmp(limits->pin, "none"))
        o->pinning = place->pinning;
    else
        pinning_choose("none", o->c.config.threads, &o->pinning);
}

static enum status prepare(struct team *t, struct outcome *o, struct fault *fault)
{
    outcome_repro(o, t->limits);
    TRY(case_ready(&o->c, fault));
    outcome_idle(o, t->limits);
    TRY(find_places(o, t->place, fault));
    TRY(replicas_fit(o, o->c.spec.replicas, fault));
    for (int i = 0; i < o->c.spec.replicas; i++) {
        struct replica *r = &t->replica[i];
        struct case_spec spec = o->c.spec;
        spec.devices = NULL;
        spec.device = t->place[i].device;
        r->team = t;
        r->end_s = calloc(SAMPLES_MAX, sizeof *r->end_s);
        TRY(outcome_new(&spec, &r->o, fault));
        place_replica(r->o, &t->place[i], t->limits);
        r->o->visible = t->place[i].visible;
        if (!r->end_s)
            return ST_NO_MEMORY;
        TRY(outcome_spawn(r->o, t->limits, &r->w, fault));
        t->count++;
    }
    return ST_OK;
}

/* ---- meanwhile ------------------------------------------------------------------------------- */

static void watch(struct team *t, struct outcome *o)
{
    for (bool working = true; working;) {
        nanosleep(&(struct timespec){.tv_nsec = PROGRESS_NS}, NULL);
        pthread_mutex_lock(&t->lock);
        working = t->ended < t->count;
        o->samples = 0;
        for (int i = 0; i < t->count; i++)
            o->samples += t->replica[i].clips;
        const double share = t->begun ? (clock_seconds() - t->start_s) / t->limits->budget_s : 0;
        pthread_mutex_unlock(&t->lock);
        outcome_progress(o, fmin(1, share));
    }
    o->samples = 0;
}

static enum status work(struct team *t, struct outcome *o, struct fault *fault)
{
    int started = 0;
    pthread_mutex_lock(&t->lock); /* nobody begins before all can be counted */
    while (started < t->count &&
           !pthread_create(&t->replica[started].thread, NULL, replica_main, &t->replica[started]))
        started++;
    const bool all = started == t->count;
    t->count = started;
    for (int i = 0; i < started && !all; i++)
        worker_hang_up(t->replica[i].w);
    pthread_mutex_unlock(&t->lock);
    watch(t, o);
    for (int i = 0; i < started; i++)
        pthread_join(t->replica[i].thread, NULL);
    if (!all)
        return fault_set(fault, ST_NO_MEMORY, "no thread to wait for a replica");
    if (!t->failed)
        return ST_OK;
    snprintf(o->reason, sizeof o->reason, "replica %d of %d: %.900s",
             (int)(t->failed - t->replica) + 1, t->count,
             t->failed->fault.text[0] ? t->failed->fault.text : t->failed->o->reason);
    return t->failed->status;
}

/* ---- afterwards ------------------------------------------------------------------------------ */

/* Clips of a replica in the window, the last one by its share; *whole of them lie in it. */
static double count_clips(const struct team *t, const struct replica *r, int64_t *whole)
{
    double begin_s = t->start_s;
    for (*whole = 0; *whole < r->o->samples && r->end_s[*whole] <= t->stop_s; ++*whole)
        begin_s = r->end_s[*whole];
    if (*whole == r->o->samples)
        return (double)*whole;
    return (double)*whole + (t->stop_s - begin_s) / (r->end_s[*whole] - begin_s);
}

/* Samples first .. of `from` behind those of `to`, as many as there is room for. */
static void append(struct outcome *to, const struct outcome *from, int64_t count)
{
    const int64_t steps = to->c.request.steps, at = to->samples;
    const int64_t n = count < SAMPLES_MAX - at ? count : SAMPLES_MAX - at;
    const size_t bytes = (size_t)n * sizeof(double);
    memcpy(to->total + at, from->total, bytes);
    for (int i = 0; i < STAGE_COUNT; i++) {
        memcpy(to->stage[i] + at, from->stage[i], bytes);
        memcpy(to->load[i] + at, from->load[i], bytes);
    }
    for (int64_t k = 0; k < steps; k++)
        memcpy(to->step + k * SAMPLES_MAX + at, from->step + k * SAMPLES_MAX, bytes);
    to->samples += n;
    for (int64_t i = 0; i < n; i++)
        raw_add(&to->raw, &from->raw.at[i].seconds, 1, from->raw.at[i].mhz, from->raw.at[i].flags);
}

/* The row is the first replica's, with the clips of all. */
static void adopt(struct outcome *o, struct outcome *first, int64_t whole)
{
    struct outcome *const was = malloc(sizeof *was);
    if (!was)
        return;
    *was = *o;
    *o = *first;
    *first = *was;
    o->c = was->c;
    o->progress = was->progress;
    memcpy(o->repro, was->repro, sizeof o->repro);
    o->samples = whole;
    o->raw.count = whole;
    o->raw.blocks = (uint32_t)whole;
    o->reason[0] = 0;
    free(was);
}

static int count_devices(const struct team *t)
{
    int devices = 0;
    for (int i = 0; i < t->count; i++) {
        bool known = false;
        for (int k = 0; k < i; k++)
            known = known || t->place[k].node == t->place[i].node;
        devices += !known;
    }
    return devices;
}

static enum status sum_up(struct team *t, struct outcome *o, struct fault *fault)
{
    struct throughput *all = calloc(1, sizeof *all);
    int64_t whole[REPLICAS_MAX];
    if (!all)
        return ST_NO_MEMORY;
    *all = (struct throughput){.replicas = t->count,
                               .devices = count_devices(t),
                               .window_s = t->stop_s - t->start_s,
                               .efficiency = NAN,
                               .speedup = NAN};
    for (int i = 0; i < t->count; i++) {
        const double passes = count_clips(t, &t->replica[i], &whole[i]);
        const double clips = passes * (double)o->c.request.batch;
        all->clips += clips;
        all->rate[i] = clips / all->window_s;
    }
    adopt(o, t->replica[0].o, whole[0]);
    o->throughput = all;
    for (int i = 1; i < t->count; i++) {
        const struct outcome *other = t->replica[i].o;
        append(o, other, whole[i]);
        o->planned += other->planned;
        o->resident += other->resident;
        o->frames_differ = o->frames_differ || other->frames_hash != o->frames_hash;
    }
    o->stop = t->stop;
    o->summary = stats_summary(o->total, o->samples);
    all->p50_ns = stats_quantile(o->total, o->samples, 0.5);
    all->p90_ns = stats_quantile(o->total, o->samples, 0.9);
    outcome_judge(o);
    if (t->limits->energy && o->c.config.device == DEVICE_CPU)
        outcome_energy(o, t->limits, &t->drawn, NULL);
    return o->frames_differ ? fault_set(fault, ST_WRONG,
                                        "the replicas made different clips; every run of a plan"
                                        " must give the same frames")
                            : ST_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void team_free(struct team *t)
{
    for (int i = 0; i < REPLICAS_MAX; i++) {
        worker_end(t->replica[i].w);
        outcome_free(t->replica[i].o);
        free(t->replica[i].end_s);
    }
    pthread_mutex_destroy(&t->lock);
    pthread_cond_destroy(&t->changed);
    free(t);
}

void run_replicas(struct outcome *o, const struct run_limits *limits)
{
    struct fault fault = {{0}};
    struct team *t = calloc(1, sizeof *t);
    const double started_s = clock_seconds();
    enum status status = t ? ST_OK : ST_NO_MEMORY;
    if (t) {
        t->limits = limits;
        pthread_mutex_init(&t->lock, NULL);
        pthread_cond_init(&t->changed, NULL);
        status = prepare(t, o, &fault);
        if (status == ST_OK)
            status = work(t, o, &fault);
        if (status == ST_OK)
            status = sum_up(t, o, &fault);
        team_free(t);
    }
    outcome_finish(o, NULL, status, &fault);
    o->elapsed_ns = 1e9 * (clock_seconds() - started_s);
    if (outcome_timed(o))
        throughput_compare(o);
}
