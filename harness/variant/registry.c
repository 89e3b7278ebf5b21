// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "variant/registry.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "machine/device.h"
#include "machine/gpu.h"
#include "machine/host.h"
#include "variant/library.h"
#include "variant/registry_built_in.h"

/* One sorted table for the built-in variants and those of plugins. It moves when a plugin joins, so
 * plugins are loaded before anyone keeps an entry. */
static struct registry_entry *entries;
static int entry_count;

static int op_order(const char *op)
{
#define OP_NAME(folder, op) #op,
    static const char *const names[] = {OP_LIST(OP_NAME)};
#undef OP_NAME
    int i = 0;
    while (i < OP_COUNT && strcmp(names[i], op) != 0)
        i++;
    return i;
}

int variant_number(const char *name)
{
    for (const char *at = name; (at = strchr(at, '_')); at++) {
        if (isdigit((unsigned char)at[1]) && isdigit((unsigned char)at[2]) && at[3] == '_')
            return (at[1] - '0') * 10 + (at[2] - '0');
    }
    return -1;
}

static int compare(const void *left, const void *right)
{
    const struct registry_entry *a = left, *b = right;
    int order = op_order(a->op) - op_order(b->op);
    if (order == 0)
        order = variant_number(a->name) - variant_number(b->name);
    return order ? order : strcmp(a->name, b->name);
}

static bool grow(int more)
{
    struct registry_entry *moved =
        realloc(entries, (size_t)(entry_count + more + 1) * sizeof *entries);
    if (moved)
        entries = moved;
    return moved != NULL;
}

static void start(void)
{
    if (entries || !grow(registry_built_in_count))
        return;
    entry_count = registry_built_in_count;
    memcpy(entries, registry_built_in, (size_t)entry_count * sizeof *entries);
    qsort(entries, (size_t)entry_count, sizeof *entries, compare);
}

const struct registry_entry *registry(int *count)
{
    start();
    *count = entry_count;
    return entries;
}

const struct registry_entry *registry_find(enum op_id op, const char *name)
{
    start();
    for (int i = 0; i < entry_count; i++) {
        if (op_order(entries[i].op) == (int)op && strcmp(entries[i].name, name) == 0)
            return &entries[i];
    }
    return NULL;
}

/* ---- plugins --------------------------------------------------------------------------------- */

#define PLUGINS_MAX 32

static const char *plugin_files[PLUGINS_MAX + 1];
static int plugin_count;

static enum status hash_file(const char *path, uint64_t *hash, struct fault *fault)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return fault_set(fault, ST_BAD_INPUT, "cannot read the plugin '%s'", path);
    *hash = UINT64_C(0xcbf29ce484222325);
    unsigned char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0) {
        for (size_t i = 0; i < got; i++)
            *hash = (*hash ^ block[i]) * UINT64_C(0x100000001b3);
    }
    bool failed = ferror(file) != 0;
    fclose(file);
    return failed ? fault_set(fault, ST_BAD_INPUT, "cannot read the plugin '%s'", path) : ST_OK;
}

/* dlopen looks for a bare name along the library path; a plugin is the file that was named. */
static enum status open_plugin(const char *path, const struct plugin **out, struct fault *fault)
{
    char *full = realpath(path, NULL);
    if (!full)
        return fault_set(fault, ST_BAD_INPUT, "there is no plugin '%s'", path);
    void *library = dlopen(full, RTLD_NOW | RTLD_LOCAL);
    free(full);
    if (!library)
        return fault_set(fault, ST_BAD_INPUT, "cannot load the plugin '%s': %s", path, dlerror());
    const struct plugin *plugin = dlsym(library, PLUGIN_SYMBOL);
    if (!plugin)
        return fault_set(fault, ST_BAD_INPUT,
                         "'%s' is no plugin: it lacks the symbol %s; end its source with "
                         "PLUGIN(&variant_...)",
                         path, PLUGIN_SYMBOL);
    if (plugin->abi != PATCHMARK_ABI)
        return fault_set(fault, ST_BAD_INPUT,
                         "the plugin '%s' was built for ABI %d, this program has %d; rebuild it "
                         "against kernels/op.h",
                         path, plugin->abi, PATCHMARK_ABI);
    *out = plugin;
    return ST_OK;
}

static enum status admit(const char *path, const struct variant *v, struct fault *fault)
{
    if (v->abi != PATCHMARK_ABI || !v->op || !v->name || !v->plan || !v->run)
        return fault_set(fault, ST_BAD_INPUT,
                         "a variant of the plugin '%s' is incomplete or of another ABI; end its "
                         "file with VARIANT(...)",
                         path);
    int op = op_order(v->op);
    if (op == OP_COUNT)
        return fault_set(fault, ST_BAD_INPUT,
                         "the plugin '%s' claims the op '%s', which does not "
                         "exist; list ops shows those that do",
                         path, v->op);
    const struct registry_entry *same = registry_find((enum op_id)op, v->name);
    if (same)
        return fault_set(fault, ST_BAD_INPUT,
                         "the plugin '%s' brings %s/%s, a name that %s has "
                         "already; rename the variant",
                         path, v->op, v->name, same->origin);
    char *origin = strdup(path), *target = strndup(v->name, strcspn(v->name, "_"));
    if (!origin || !target || !grow(1)) {
        free(origin);
        free(target);
        return fault_set(fault, ST_NO_MEMORY, "out of memory while loading '%s'", path);
    }
    entries[entry_count++] = (struct registry_entry){
        .variant = v, .op = v->op, .name = v->name, .target = target, .origin = origin};
    return ST_OK;
}

enum status registry_load_plugin(const char *path, struct fault *fault)
{
    start();
    if (plugin_count == PLUGINS_MAX)
        return fault_set(fault, ST_BAD_INPUT, "more than %d plugins; load fewer", PLUGINS_MAX);
    uint64_t hash = 0;
    const struct plugin *plugin = NULL;
    TRY(hash_file(path, &hash, fault));
    TRY(open_plugin(path, &plugin, fault));
    int before = entry_count;
    for (int i = 0; plugin->variants[i]; i++) {
        enum status status = admit(path, plugin->variants[i], fault);
        if (status != ST_OK) {
            entry_count = before;
            return status;
        }
    }
    for (int i = before; i < entry_count; i++)
        entries[i].plugin_hash = entries[i].source_hash = hash;
    plugin_files[plugin_count++] = path;
    qsort(entries, (size_t)entry_count, sizeof *entries, compare);
    return ST_OK;
}

const char *const *registry_plugins(void) { return plugin_files; }

/* ---- use ------------------------------------------------------------------------------------- */

enum status registry_usable(const struct registry_entry *entry, struct fault *why)
{
    if (!entry->variant)
        return fault_set(why, ST_NOT_BUILT, "%s", entry->not_built);
    uint64_t needs = entry->variant->needs, missing = needs & ~host_cpu_features();
    if (needs & GPU_BITS) {
        int devices;
        TRY(gpu_count(&devices, why));
        missing &= ~gpu_features(device_index());
        missing &= ~library_features(missing);
    }
    for (uint64_t bit = 1; missing && bit; bit <<= 1) {
        const char *library = library_name(bit);
        if (missing & bit)
            return fault_set(why, ST_UNAVAILABLE, "this machine lacks %s",
                             library ? library : host_feature_name(bit));
    }
    return ST_OK;
}

void variant_default_knobs(const struct variant *variant, int64_t knob[KNOB_MAX])
{
    for (int i = 0; i < KNOB_MAX; i++)
        knob[i] = variant->knob[i].name ? variant->knob[i].values[0] : 0;
}

/* Remembers the last star alone: an earlier one never has to take more once a later one fits. */
bool glob_match(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern == '?' || *pattern == *text) {
            pattern++;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

/* ---- numerics classes ------------------------------------------------------------------------ */

static const struct {
    const char *name;
    bool exact;
} classes[NUM_COUNT] = {
    [NUM_F32] = {"f32", true},        [NUM_TF32] = {"tf32", false},
    [NUM_BF16] = {"bf16", true},      [NUM_F16] = {"f16", true},
    [NUM_FP8] = {"fp8", false},       [NUM_INT8] = {"int8", false},
    [NUM_FP4] = {"fp4", false},       [NUM_WINOGRAD] = {"winograd", true},
    [NUM_SPARSE] = {"sparse", false},
};

bool numerics_exact(enum numerics numerics) { return classes[numerics].exact; }

const char *numerics_name(enum numerics numerics) { return classes[numerics].name; }
