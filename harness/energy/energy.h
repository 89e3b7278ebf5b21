// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* energy.h   Joules beside a timed stretch, from whatever sensors this machine has: a power meter's
 * file, the driver's counter of a GPU, the processor's own counters. Each figure names its sensor
 * and what that sensor sees (its scope); figures of different scopes are never added, and what a
 * board draws is never called the system's. What cannot be had is null with its reason, never 0. */
#ifndef PATCHMARK_ENERGY_H
#define PATCHMARK_ENERGY_H

#include "base/json.h"
#include "energy/rapl.h"
#include "machine/nvml.h"

#define ENERGY_SOURCES_MAX 16

/* A sensor as this machine has it, or lacks it. */
struct energy_source {
    char sensor[24];  /* "powercap", "nvml" */
    char scope[16];   /* "package", "dram", "core", "uncore", "platform", "board" */
    char detail[160]; /* what it is made of: "package-0, package-1", "NVIDIA H200" */
    bool usable;
    char why[256]; /* where it is not usable: why, and the cure where there is one */
};

/* Looks for every sensor and whether its counter moves; takes a tenth of a second where there is
 * one. Returns how many were written to `out`, absent ones too, at most `room`. */
int energy_sources(struct energy_source *out, int room);

/* ---- measuring ------------------------------------------------------------------------------- */

/* What makes a figure: shorter windows, or fewer new values of the sensor, are refused. */
#define ENERGY_LEAST_S 10
#define ENERGY_LEAST_REFRESHES 100

struct energy_request {
    const char *power_file, *power_scope; /* NULL: none; see power_file.h */
    double idle_s;                        /* idle power is measured so long before; 0: not */
    bool asked;                           /* for figures, by other words than these */
};
#define ENERGY_OPTIONS(r)                                                                          \
    {"--power-file", "CSV", OPTION_TEXT, &(r)->power_file,                                         \
     "lines TIME,WATTS that a power meter writes meanwhile; they outrank other sensors"},          \
        {"--power-scope", "SCOPE", OPTION_TEXT, &(r)->power_scope,                                 \
         "what it sees: system, chassis, package, board (what the file says)"},                    \
    {                                                                                              \
        "--idle-power", "SECONDS", OPTION_REAL, &(r)->idle_s,                                      \
            "idle power too, measured so long before the first case (off)"                         \
    }

struct energy; /* the sensors of one run of the program */

/* Checks the request and reads the power file once, so that mistakes in it cost no measurement. */
enum status energy_open(const struct energy_request *request, struct energy **out,
                        struct fault *fault);
void energy_close(struct energy *e); /* no window may be open; NULL is fine */
/* Whether figures were asked for, so that their absence is worth a line. */
bool energy_asked(const struct energy *e);
/* ST_BAD_INPUT where the power file has become one that cannot be read since. */
enum status energy_status(const struct energy *e, struct fault *fault);

/* Sleeps through the idle time asked for, once for each device; n NULL: no GPU, or none watched. */
void energy_idle(struct energy *e, int device, struct nvml *n);

/* One stretch of work. Zero-initialised; between open and close a thread of this process looks at
 * the processors' counters; one window at a time. Boards are watched by an nvml_window beside it. */
struct energy_window {
    double begin_s, end_s, begin_utc_s, end_utc_s;
    struct rapl_track track[RAPL_DOMAINS_MAX];
};
void energy_window_open(struct energy *e, struct energy_window *w);
void energy_window_close(struct energy *e, struct energy_window *w);

/* ---- what came of it ------------------------------------------------------------------------- */

/* What the joules are divided by. */
struct energy_per {
    const char *what;  /* "clip", "run" */
    double count;      /* of them in the window */
    double frames;     /* of one; 0: it has none */
    double seconds;    /* median of one, for the energy delay product */
    double busy_s;     /* of the window, the time that was timed */
    const char *flag;  /* what makes the window longer: "--repetitions", "--energy" */
    double flag_scale; /* its unit: seconds of window for each */
};

struct energy_figure {
    struct energy_source source; /* usable: joules can be read; else why */
    bool headline;               /* its scope is one that the case may be judged by */
    const char *quality; /* "counter": the sensor adds up; "sampled": readings, added up here */
    double joules, window_s, peak_w;
    double idle_w; /* NaN: not asked for, or not to be had */
    int64_t refreshes;
};

struct energy_report {
    int count;
    struct energy_figure figure[ENERGY_SOURCES_MAX]; /* the best first */
    const struct energy_figure *best;                /* NULL: no figure may stand for the case */
    struct energy_per per;
    double window_s;
};

/* May wait some seconds for the power file to reach the window's end. board: the case ran on a GPU;
 * n NULL: it is not watched, for the reason `unwatched`. */
struct energy_board {
    const struct nvml *n;
    const struct nvml_window *window;
    const char *name, *unwatched;
    int device;
};
void energy_report(struct energy *e, const struct energy_window *w,
                   const struct energy_board *board, const struct energy_per *per,
                   struct energy_report *out);
/* Member `key` (results/SCHEMA.md, "energy"). */
void energy_json(const struct energy_report *r, struct json *j, const char *key);
/* One line for people; "" where there is nothing to say. */
void energy_line(const struct energy *e, const struct energy_report *r, char *out, size_t bytes);

#endif
