// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* settings.cc   What the environment asks of the emulator, and its random numbers. */
#include "core.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    bool greedy, reversed, shuffled;
} orders[] = {
    {"lockstep", false, false, false},      {"reversed", false, true, false},
    {"shuffled", false, false, true},       {"greedy", true, false, false},
    {"greedy-reversed", true, true, false}, {"greedy-shuffled", true, false, true},
};

static struct emu_settings read_settings()
{
    const char *order = getenv("EMU_ORDER"), *eager = getenv("EMU_EAGER");
    const char *seed = getenv("EMU_SEED");
    struct emu_settings s = {};
    s.eager = eager && strcmp(eager, "0") != 0;
    s.seed = seed ? strtoull(seed, NULL, 10) : 1;
    if (!order || !order[0])
        return s;
    for (auto &o : orders)
        if (strcmp(order, o.name) == 0) {
            s.greedy = o.greedy, s.reversed = o.reversed, s.shuffled = o.shuffled;
            return s;
        }
    emu_finding("EMU_ORDER=%s is none of the orders in emu.h", order);
}

const struct emu_settings *emu_asked()
{
    static const struct emu_settings settings = read_settings();
    return &settings;
}

/* splitmix64 */
unsigned emu_random(unsigned below)
{
    static uint64_t state = emu_asked()->seed;
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (unsigned)((z ^ z >> 31) % below);
}
