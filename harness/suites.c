// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* suites.c   The suites that come with the program. */
#include "run_cases.h"

const struct suite suites[] = {
    {"quick", "landscape, portrait and still of the tiny model; a few minutes on two cores",
     "[duration]\n"
     "model = tiny\n"
     "steps = 4\n"
     "size = 96x64, 128x72, 192x112\n"
     "frames = 1, 9, 17, 33\n"
     "[portrait]\n"
     "model = tiny\n"
     "steps = 4\n"
     "size = 72x128\n"
     "frames = 17\n"
     "[plans]\n"
     "model = tiny\n"
     "steps = 4\n"
     "size = 128x72\n"
     "frames = 17\n"
     "kernels = base/c\n"
     "[threads]\n"
     "model = tiny\n"
     "steps = 4\n"
     "size = 128x72\n"
     "frames = 17\n"
     "threads = 1\n"},
    {"standard", "the small model over resolutions and durations; an hour or so on two cores",
     "[duration]\n"
     "model = small\n"
     "steps = 4\n"
     "size = 192x112, 320x192, 416x240, 240x416\n"
     "frames = 1, 17, 33, 49\n"},
    {0},
};
