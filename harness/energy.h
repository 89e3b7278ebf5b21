// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* energy.h   Joules beside a timed stretch, from whatever sensors this machine has: a power meter's
 * file, the driver's counter of a GPU, the processor's own counters. Each figure names its sensor
 * and what that sensor sees (its scope); figures of different scopes are never added, and what a
 * board draws is never called the system's. What cannot be had is null with its reason, never 0. */
#ifndef PATCHMARK_ENERGY_H
#define PATCHMARK_ENERGY_H

#include "json.h"

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

#endif
