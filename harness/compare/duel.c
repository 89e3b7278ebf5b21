// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "compare/duel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/patchmark.h"
#include "base/worker.h"
#include "compare/duel_stores.h"
#include "random.h"

#define CHECK_SECONDS 0.1 /* for rows of the reference in one check of an arm's first process */
#define CHECK_SHARE 0.01  /* or so much of a larger budget */
#define AGAIN_CHECK_SECONDS 0.02 /* and of the others */
#define WARM_SECONDS 0.3         /* at most, of a process that is new */
#define AGAIN_WARM_SECONDS 0.05
#define START_SHARE 0.5   /* of the budget, for starting and checking processes */
#define GENERATIONS_MAX 6 /* times that both arms are started */
#define GENERATION_ROUNDS 5
#define TRIES 20 /* blocks of a process that has none that stands, past its share of the budget */
#define PROBE_SHARE 0.15 /* of the budget, for blocks without the other arm between them */
#define PROBE_CYCLES 3   /* each: rounds, then three blocks of one arm, three of the other */
#define PROBE_ROUNDS 4
#define DISTURBED_LEAST 0.02 /* less is not worth another schedule */
#define DISTURBED_BY_CHANCE 0.01
#define SETTLE_BLOCKS 2
#define ALIKE 1.25          /* runs of two arms, one over the other */
#define BLOCK_LEAST 3       /* samples, so that a block has a median */
#define OVERRUN_SECONDS 3.0 /* or so much */
#define OVERRUN 0.5         /* of the budget: so much more where arms are kept apart */

/* ---- processes ------------------------------------------------------------------------------- */

/* Every process is checked; only the rows held against the reference are few, and after an arm's first
 * process fewer: of two processes with half the time each more is learnt than of one. */
static double check_seconds(struct duel *d, int which)
{
    double most = fmax(CHECK_SECONDS, CHECK_SHARE * d->options->kernels.budget);
    double seconds = d->side[which].processes > 1 ? AGAIN_CHECK_SECONDS : most;
    d->contest.arms[which].sample_seconds = seconds;
    return seconds;
}

static double warm_seconds(const struct duel *d, int which)
{
    double most = d->side[which].processes > 1 ? AGAIN_WARM_SECONDS : WARM_SECONDS;
    return fmin(most, 0.02 * d->options->kernels.budget);
}

static void set_sample(struct duel *d, int which)
{
    struct arm *a = &d->contest.arms[which];
    a->run_seconds = d->run_seconds[which];
    a->runs = kernels_runs_per_sample(a->run_seconds);
}

/* A fresh process of the arm, verified and warm; else the arm has a state. */
static bool process_start(struct duel *d, int which)
{
    struct arm *a = &d->contest.arms[which];
    if (a->state || interrupted_by)
        return false;
    arm_start(&d->contest, a);
    if (!a->worker || !arm_ready(&d->contest, a))
        return false;
    d->side[which].processes++;
    double ready = clock_seconds();
    if (!arm_check(&d->contest, a, "check", check_seconds(d, which)))
        return false;
    double checked = clock_seconds();
    d->check_seconds += checked - ready;
    if (d->contest.roof->device && d->side[which].processes == 1)
        arm_launches(&d->contest, a);
    if (!a->worker || !arm_warm(&d->contest, a, warm_seconds(d, which)))
        return false;
    d->warm_seconds += clock_seconds() - checked;
    if (d->run_seconds[which] > 0)
        set_sample(d, which); /* one and the same in all of them */
    return true;
}

static void process_end(struct duel *d, int which)
{
    struct arm *a = &d->contest.arms[which];
    if (a->worker && !interrupted_by &&
        arm_check(&d->contest, a, "recheck", check_seconds(d, which)))
        arm_finish(&d->contest, a);
}

static bool both_alive(const struct duel *d)
{
    return d->contest.arms[DUEL_A].worker && d->contest.arms[DUEL_B].worker && !interrupted_by;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* The block's median; NaN where none was kept, for the arm failed or something befell every try. */
static double block(struct duel *d, int which, uint64_t round, int place)
{
    struct arm *a = &d->contest.arms[which];
    int64_t before = a->n;
    arm_block(&d->contest, a, d->options->kernels.seed + 1 + round, place);
    return a->worker && a->n > before ? a->samples[a->n - 1] : NAN;
}

static void forget_blocks(struct arm *a)
{
    raw_free(&a->raw);
    a->raw = (struct raw){0};
    a->guard = (struct guard_count){0};
    a->stopping = (struct stopping){0};
    a->n = a->rounds = 0;
}

/* A sample that lasts longer is interrupted more often, so that both arms' must last equally long.
 * What the warm-up said of a run is as noisy as the machine is; the shortest of some samples is not.
 * Arms that are nearly alike get the same number of runs. */
static bool settle_samples(struct duel *d)
{
    double *run = d->run_seconds;
    for (int i = 0; i < DUEL_ARMS; i++)
        run[i] = d->contest.arms[i].run_seconds;
    for (int turn = 0; turn < SETTLE_BLOCKS * DUEL_ARMS; turn++) {
        int which = turn % DUEL_ARMS;
        struct arm *a = &d->contest.arms[which];
        block(d, which, (uint64_t)-1 - (uint64_t)turn, 0);
        if (!a->worker)
            return false;
        for (int64_t i = 0; i < a->raw.count; i++)
            run[which] = fmin(run[which], a->raw.at[i].seconds);
    }
    if (fmax(run[0], run[1]) < ALIKE * fmin(run[0], run[1]))
        run[0] = run[1] = fmin(run[0], run[1]);
    for (int i = 0; i < DUEL_ARMS; i++) {
        set_sample(d, i);
        forget_blocks(&d->contest.arms[i]);
    }
    return true;
}

static void keep(struct duel_side *side, double median, bool first)
{
    side->block[side->blocks] = median;
    side->process[side->blocks] = side->processes - 1;
    side->first[side->blocks] = first;
    side->blocks++;
}

static bool coin(const struct duel *d, uint64_t round)
{
    struct random_stream stream = random_stream_of(d->options->kernels.seed, "order of arms");
    return random_bits(stream, round) & 1;
}

/* One block of each, on the same data. */
static bool round_run(struct duel *d, uint64_t round)
{
    int first = coin(d, round) ? DUEL_B : DUEL_A, second = 1 - first;
    if (d->side[DUEL_A].blocks >= DUEL_ROUNDS_MAX)
        return false;
    double one = block(d, first, round, 0);
    double other = d->contest.arms[first].worker ? block(d, second, round, 1) : NAN;
    if (!isnan(one) && !isnan(other)) {
        keep(&d->side[first], one, true);
        keep(&d->side[second], other, false);
    }
    return both_alive(d);
}

static void progress(const struct duel *d, const char *doing, double deadline)
{
    const struct arm *a = d->contest.arms;
    progress_line("%s: %s against %s: %s, %.0f s left", a[0].entry->op, a[1].title, a[0].title,
                  doing, fmax(0, deadline - clock_seconds()));
}

/* ---- do they disturb each other? ------------------------------------------------------------- */

/* The first of three blocks still follows the other arm; the two behind it follow their own. */
static bool alone(struct duel *d, int which, uint64_t *round)
{
    struct duel_side *side = &d->side[which];
    int64_t near = side->blocks < PROBE_ROUNDS ? side->blocks : PROBE_ROUNDS;
    double beside = near ? stats_median(side->block + side->blocks - near, near) : NAN;
    for (int i = 0; i < 3; i++) {
        double median = block(d, which, (*round)++, 0);
        if (!d->contest.arms[which].worker)
            return false;
        if (i > 0 && !isnan(median) && near && side->solos < DUEL_SOLO_MAX)
            side->solo[side->solos++] = median / beside;
    }
    return true;
}

/* Rounds, and then each arm by itself. Six blocks without a partner cost what three rounds do; where
 * that is too much of the budget it is left. */
static bool probe_once(struct duel *d, uint64_t *round, double deadline)
{
    double begin = clock_seconds(), share = PROBE_SHARE * d->options->kernels.budget;
    for (int i = 0; i < PROBE_ROUNDS; i++)
        if (clock_seconds() > deadline || !round_run(d, (*round)++))
            return false;
    double each = (clock_seconds() - begin) / PROBE_ROUNDS;
    if (3 * each * PROBE_CYCLES > share) {
        d->probes = PROBE_CYCLES;
        return true;
    }
    int first = coin(d, (uint64_t)-1 - (uint64_t)d->probes++) ? DUEL_B : DUEL_A;
    return alone(d, first, round) && alone(d, 1 - first, round);
}

/* Spread over the generations that are left, so that each has its share of the rounds. */
static bool probe(struct duel *d, int generations, uint64_t *round, double deadline)
{
    int cycles = (PROBE_CYCLES - d->probes + generations - 1) / generations;
    for (int i = 0; i < cycles && d->probes < PROBE_CYCLES; i++)
        if (!probe_once(d, round, deadline))
            return false;
    return true;
}

/* All of them beyond the threshold on the same side, and far from 1 for how much they scatter. */
bool duel_disturbed(const struct duel_side *side, double threshold, double *ratio)
{
    double least = log1p(fmax(threshold, DISTURBED_LEAST)), mean = 0, squares = 0;
    bool above = side->solos > 0, below = side->solos > 0;
    for (int i = 0; i < side->solos; i++) {
        double value = log(side->solo[i]), before = mean;
        above = above && value > least;
        below = below && value < -least;
        mean += (value - before) / (i + 1);
        squares += (value - before) * (value - mean);
    }
    *ratio = side->solos > 0 ? stats_median(side->solo, side->solos) : NAN;
    if (side->solos < 2 * PROBE_CYCLES || !(above || below))
        return false;
    double deviation = sqrt(squares / (side->solos - 1) / side->solos);
    return fabs(mean) > stats_student_t(DISTURBED_BY_CHANCE, side->solos - 1) * deviation;
}

static void look_for_disturbance(struct duel *d)
{
    for (int i = 0; i < DUEL_ARMS && !d->blocked; i++) {
        double ratio;
        d->blocked = duel_disturbed(&d->side[i], d->options->threshold, &ratio);
        if (d->blocked)
            snprintf(d->blocked_why, sizeof d->blocked_why,
                     "%s takes %.3g times as long alone as beside the other", i ? "B" : "A", ratio);
    }
}

/* ---- schedules ------------------------------------------------------------------------------- */

/* A verdict needs a least number of rounds; for these the budget is overrun, and where starting alone
 * took it all, by as much from there on. */
static bool time_left(const struct duel *d, double begin, double deadline)
{
    double now = clock_seconds();
    double most = fmax(OVERRUN * d->options->kernels.budget, OVERRUN_SECONDS);
    return now < deadline ||
           (d->side[DUEL_A].blocks < VERDICT_LEAST && now < fmax(begin, deadline) + most);
}

static void rounds_until(struct duel *d, uint64_t *round, double deadline)
{
    double begin = clock_seconds();
    do
        progress(d, "in turn", deadline);
    while (both_alive(d) && round_run(d, (*round)++) && time_left(d, begin, deadline));
}

/* Seconds of both arms' processes: starting them, and about what ending them and starting the next
 * will take. */
struct upkeep {
    double start, end, next, spent, round; /* round: of one block of each */
};

/* Pages stay where a first process has put them: not where another has other threads, or the nodes of
 * memory are several; nor does another build know of stores. */
static bool stores_fit(const struct duel *d)
{
    const struct arm *a = d->contest.arms;
    return d->contest.cache.state != CACHE_HOT && !d->contest.roof->device &&
           a[DUEL_A].spec.threads == a[DUEL_B].spec.threads && !a[DUEL_A].spec.program[0] &&
           !a[DUEL_B].spec.program[0] && access("/sys/devices/system/node/node1", F_OK) != 0;
}

/* Who is started second finds other memory, so they take turns at that, and at the stores. */
static void both_start(struct duel *d, int generation, struct upkeep *u)
{
    double begin = clock_seconds();
    int first = coin(d, (uint64_t)-64) == (generation % 2 == 0) ? DUEL_B : DUEL_A;
    for (int i = 0; i < DUEL_ARMS; i++)
        d->contest.arms[i].store = stores_fit(d) ? duel_store(i == first) : NULL;
    d->check_seconds = d->warm_seconds = 0;
    process_start(d, first);
    process_start(d, 1 - first);
    u->start = clock_seconds() - begin;
    u->end = d->check_seconds;
    /* The first warms up longer, and takes memory that is there for the others. */
    u->next = generation ? u->start : u->start - d->warm_seconds + u->end;
    u->spent += u->start + u->end;
}

/* How often in all, as far as that leaves time for blocks: `left` seconds from here on, the present
 * generation's blocks included. One of few rounds says more of its noise than of its luck. */
static int generations_of(const struct duel *d, int done, const struct upkeep *u, double left)
{
    double share = START_SHARE * d->options->kernels.budget - u->spent, each = u->next + u->end;
    int more = (int)fmax(0, fmin(GENERATIONS_MAX - done, share / each));
    while (more > 0 && (left - more * each) / u->round < GENERATION_ROUNDS * (more + 1))
        more--;
    return done + more;
}

/* An equal share of the time that is left for blocks. */
static double share_until(const struct upkeep *u, int left, double deadline)
{
    double now = clock_seconds(), upkeep = left * u->end + (left - 1) * u->next;
    return now + fmax(0, deadline - now - upkeep) / left;
}

/* Both arms started anew a few times. */
static void interleave(struct duel *d, double begin)
{
    double deadline = begin + d->options->kernels.budget;
    struct upkeep u = {0};
    uint64_t round = 0;
    int generations = 1;
    for (int g = 0; g < generations && !d->blocked; g++) {
        both_start(d, g, &u);
        double settling = clock_seconds();
        if (!both_alive(d) || (g == 0 && !settle_samples(d)))
            break;
        if (g == 0)
            u.round = (clock_seconds() - settling) / SETTLE_BLOCKS;
        generations = generations_of(d, g + 1, &u, deadline - clock_seconds() - u.end);
        if (!d->options->interleaved && probe(d, generations - g, &round, deadline - u.end))
            look_for_disturbance(d);
        if (!d->blocked)
            rounds_until(d, &round, share_until(&u, generations - g, deadline));
        for (int i = 0; i < DUEL_ARMS; i++)
            process_end(d, i);
    }
}

static void forget(struct duel *d)
{
    for (int i = 0; i < DUEL_ARMS; i++) {
        struct duel_side *side = &d->side[i];
        side->blocks = side->units = side->processes = 0;
        d->contest.arms[i].processes = 0;
        forget_blocks(&d->contest.arms[i]);
    }
}

/* Arms that are kept apart from the start still need samples of one length. */
static bool meet_once(struct duel *d)
{
    for (int i = 0; i < DUEL_ARMS; i++)
        process_start(d, i);
    bool settled = both_alive(d) && settle_samples(d);
    for (int i = 0; i < DUEL_ARMS; i++)
        process_end(d, i);
    return settled && !d->contest.arms[DUEL_A].state && !d->contest.arms[DUEL_B].state;
}

/* One process at a time, in the order A B B A A B ...; what a process says is one unit. */
static void block_by_arm(struct duel *d, double begin)
{
    double budget = d->options->kernels.budget;
    double deadline = fmax(begin + budget, clock_seconds() + OVERRUN * budget);
    uint64_t round = 1 << 20; /* data that no probe has seen */
    if (!(d->run_seconds[DUEL_A] > 0) && !meet_once(d))
        return;
    forget(d);
    d->contest.apart = true;
    for (int turn = 0; turn < DUEL_ARMS * DUEL_PROCESSES && !interrupted_by; turn++) {
        int which = (turn + 1) / 2 % 2, left = DUEL_ARMS * DUEL_PROCESSES - turn;
        struct duel_side *side = &d->side[which];
        double until = clock_seconds() + (deadline - clock_seconds()) / left;
        int64_t from = side->blocks;
        progress(d, "apart", deadline);
        if (!process_start(d, which))
            return;
        int tries = 0;
        do {
            double median = block(d, which, round++, 0);
            if (!d->contest.arms[which].worker)
                return;
            if (!isnan(median))
                keep(side, median, true);
            tries++;
        } while (side->blocks < DUEL_ROUNDS_MAX && !interrupted_by &&
                 (clock_seconds() < until || (side->blocks == from && tries < TRIES)));
        if (side->blocks > from)
            side->unit[side->units++] = stats_median(side->block + from, side->blocks - from);
        process_end(d, which);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void take_units(struct duel *d)
{
    for (int i = 0; i < DUEL_ARMS && !d->blocked; i++) {
        struct duel_side *side = &d->side[i];
        memcpy(side->unit, side->block, (size_t)side->blocks * sizeof *side->unit);
        side->units = side->blocks;
    }
    if (!d->blocked)
        verdict_level(d->side[DUEL_A].unit, d->side[DUEL_B].unit, d->side[DUEL_A].units);
}

/* An arm that is well gets no times where the other failed before any were taken. */
static void excuse(struct duel *d)
{
    struct arm *a = d->contest.arms;
    for (int i = 0; i < DUEL_ARMS; i++)
        if (!a[i].state && a[i].n == 0 && a[1 - i].state)
            arm_stop(&a[i], status_name(ST_UNAVAILABLE), "not timed: the other arm has no times");
}

static bool judge_processes(struct duel *d)
{
    const struct duel_side *a = &d->side[DUEL_A], *b = &d->side[DUEL_B];
    return d->blocked || verdict_processes(a->unit, b->unit, a->process, a->units, d->options->luck,
                                           &d->judgement);
}

enum status duel_run(struct duel *d, struct fault *fault)
{
    double begin = clock_seconds();
    duel_stores_spare();
    contest_choose_cache(&d->contest);
    if (!d->blocked)
        interleave(d, begin);
    bool well = !d->contest.arms[DUEL_A].state && !d->contest.arms[DUEL_B].state;
    if (d->blocked && well)
        block_by_arm(d, begin);
    progress_line(NULL);
    if (interrupted_by)
        return fault_set(fault, ST_INTERRUPTED, "interrupted");
    d->seconds = clock_seconds() - begin;
    excuse(d);
    contest_judge(&d->contest);
    take_units(d);
    const struct duel_side *a = &d->side[DUEL_A], *b = &d->side[DUEL_B];
    bool measured = duel_measured(d);
    double independent =
        d->blocked ? 1 : verdict_independent(a->unit, b->unit, a->process, a->units);
    if (!verdict_judge(a->unit, measured ? a->units : 0, b->unit, measured ? b->units : 0,
                       independent, &d->judgement) ||
        !judge_processes(d))
        return fault_set(fault, ST_NO_MEMORY, "no memory for a verdict");
    return ST_OK;
}

bool duel_failed(const struct duel *d)
{
    return kernels_failed(&d->contest.arms[DUEL_A]) || kernels_failed(&d->contest.arms[DUEL_B]);
}

bool duel_measured(const struct duel *d)
{
    return arm_timed(&d->contest.arms[DUEL_A]) && arm_timed(&d->contest.arms[DUEL_B]);
}

enum status duel_new(const struct duel_options *options, const struct problem *shape,
                     const struct arm_spec *specs, struct roof *roof, struct duel **out,
                     struct fault *fault)
{
    struct duel *d = *out = calloc(1, sizeof *d);
    if (!d)
        return fault_set(fault, ST_NO_MEMORY, "no memory for a comparison");
    d->options = options;
    d->kernels = options->kernels;
    d->kernels.block_least = BLOCK_LEAST;
    d->blocked = options->blocked;
    if (d->blocked)
        snprintf(d->blocked_why, sizeof d->blocked_why, "asked for by --blocked");
    return contest_new_arms(&d->kernels, shape, specs, DUEL_ARMS, roof, &d->contest, fault);
}

void duel_free(struct duel *d)
{
    if (!d)
        return;
    contest_free(&d->contest);
    free(d);
}
