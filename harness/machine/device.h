// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* device.h   Where this process works: the CPU or one CUDA device. Chosen once, by --device. */
#ifndef PATCHMARK_DEVICE_H
#define PATCHMARK_DEVICE_H

#include "op.h"

/* "cpu" or "cuda:N". ST_BAD_INPUT for another word, ST_NOT_BUILT or ST_UNAVAILABLE (exit 3, one
 * sentence) where there is no such device, its driver is too old, or this build has no CUDA. Without
 * a call the process works on the CPU. */
enum status device_choose(const char *text, struct fault *fault);
enum device_kind device_kind(void);
int device_index(void);        /* of the CUDA device chosen; 0 where none was */
const char *device_text(void); /* "cpu", "cuda:0" */
/* "cpu", or the CUDA device's name as a word: "nvidia-h200". What was measured on one is not of another. */
void device_slug(char *out, size_t bytes);
/* As records say it: "cpu", "cuda" for a real GPU, "emulated" for the CPU in a GPU's place. */
const char *device_ran_on(void);
const char *device_ran_on_of(enum device_kind kind, int index);

/* The last CUDA device chosen, also where the CPU was chosen after it; -1: none. */
int device_gpu(void);

/* Row of an option table; parsing it chooses the device. */
#define DEVICE_OPTION                                                                              \
    {                                                                                              \
        "--device", "D", OPTION_EACH, NULL, "cpu or cuda:N (cpu)", device_choose                   \
    }

#endif
