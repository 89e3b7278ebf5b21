// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
#include "contest/rotation.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check/check.h"

#define PIECE_BYTES ((size_t)1 << 18) /* of a thread's turn */
#define LARGE_BYTES ((size_t)1 << 20) /* worth waking threads for */

static const char *const names[CACHE_STATES] = {"hot", "cold-rotate", "cold-weights"};

const char *cache_state_name(enum cache_state state) { return names[state]; }

bool cache_state_find(const char *name, enum cache_state *out)
{
    for (int i = 0; i < CACHE_STATES; i++)
        if (!strcmp(name, names[i])) {
            *out = (enum cache_state)i;
            return true;
        }
    return false;
}

int rotation_copies(size_t turn_bytes, size_t cache_bytes)
{
    if (turn_bytes == 0)
        return 0;
    size_t copies = 2 * cache_bytes / turn_bytes + 1;
    return copies > ROTATION_COPIES_MAX ? 0 : copies < 2 ? 2 : (int)copies;
}

/* ---- what rotates ---------------------------------------------------------------------------- */

static void add_part(struct rotation *r, int tensor, void **slot, void *home, size_t bytes)
{
    r->part[r->parts++] = (struct rotation_part){slot, home, bytes, r->pitch, tensor};
    r->pitch += (bytes + TENSOR_ALIGN - 1) & ~(size_t)(TENSOR_ALIGN - 1);
    r->turn_bytes += bytes;
}

/* Weights that were packed are not read again: their packed form takes their place. */
static void find_parts(struct rotation *r)
{
    struct bound *b = r->bound;
    const struct op_tensor *info = op_table[b->problem.op]->tensor;
    struct operand_memory memory;
    for (int i = 0; i < OP_TENSORS_MAX && info[i].name; i++) {
        void **slot = &problem_tensor(&b->problem, i)->data;
        bool wanted = r->state == CACHE_COLD_ROTATE || info[i].role == ROLE_WEIGHT;
        if (wanted && *slot && operands_memory(b->operands, i, &memory))
            add_part(r, i, slot, *slot, memory.bytes);
    }
    if (b->exec.packed && b->need.packed_bytes)
        add_part(r, -1, NULL, (void *)b->exec.packed, b->need.packed_bytes);
    /* Copies a multiple of a page apart would meet in the same cache sets. */
    r->pitch += r->pitch % 4096 ? 0 : TENSOR_ALIGN;
}

static bool activation(const struct rotation *r, const struct rotation_part *p)
{
    return p->tensor >= 0 && op_table[r->bound->problem.op]->tensor[p->tensor].role == ROLE_IN;
}

static bool output(const struct rotation *r, const struct rotation_part *p)
{
    return p->tensor >= 0 && op_table[r->bound->problem.op]->tensor[p->tensor].role == ROLE_OUT;
}

static void *address(const struct rotation *r, const struct rotation_part *p, int copy)
{
    return copy ? r->memory + (size_t)(copy - 1) * r->pitch + p->offset : p->home;
}

/* ---- copies ---------------------------------------------------------------------------------- */

/* First touched by the threads that will run, so that pages lie beside them; of what is too small to
 * be shared among threads each makes some copies. */
static void copy_here(const struct rotation *r, const struct rotation_part *p, int first, int end)
{
    const bool large = p->bytes >= LARGE_BYTES;
    const size_t piece = large ? PIECE_BYTES : p->bytes;
    const unsigned char *from = p->home;
#pragma omp parallel for collapse(2) num_threads(r->bound->exec.threads) schedule(static)
    for (int i = first; i < end; i++)
        for (size_t at = 0; at < p->bytes; at += piece)
            memcpy((unsigned char *)address(r, p, i) + at, from + at,
                   p->bytes - at < piece ? p->bytes - at : piece);
}

static enum status copy_part(const struct rotation *r, const struct rotation_part *p,
                             struct fault *fault)
{
    struct gpu *gpu = r->bound->mirror.gpu;
    const int at_once = p->bytes >= LARGE_BYTES ? 1 : 64;
    for (int i = 1; i < r->copies; i += at_once) {
        const int end = i + at_once < r->copies ? i + at_once : r->copies;
        for (int k = i; gpu && k < end; k++)
            TRY(gpu_copy(gpu, address(r, p, k), p->home, p->bytes, fault));
        if (!gpu)
            copy_here(r, p, i, end);
        bound_alive(r->bound);
    }
    return ST_OK;
}

static enum status map_store(const char *store, size_t bytes, void **memory, struct fault *fault)
{
    struct stat has;
    int file = open(store, O_RDWR | O_CLOEXEC);
    if (file < 0 || fstat(file, &has) ||
        ((size_t)has.st_size < bytes && ftruncate(file, (off_t)bytes))) {
        enum status status = fault_set(fault, ST_IO, "cannot take %zu bytes in %s for copies: %s",
                                       bytes, store, strerror(errno));
        if (file >= 0)
            close(file);
        return status;
    }
    *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, file, 0);
    close(file);
    return ST_OK;
}

static enum status take_memory(struct rotation *r, const char *store, struct fault *fault)
{
    struct gpu *gpu = r->bound->mirror.gpu;
    void *memory = NULL;
    size_t bytes;
    if (__builtin_mul_overflow((size_t)(r->copies - 1), r->pitch, &bytes))
        return fault_set(fault, ST_NO_MEMORY, "copies need more bytes than can be counted");
    if (gpu)
        TRY(gpu_alloc(gpu, bytes, "copies that rotate through the cache", &memory, fault));
    else if (store)
        TRY(map_store(store, bytes, &memory, fault));
    else
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return fault_set(fault, ST_NO_MEMORY,
                         "no memory for %d copies (%zu bytes) that rotate through the cache",
                         r->copies - 1, bytes);
    r->memory = memory;
    r->memory_bytes = bytes;
    return ST_OK;
}

static enum status fill(struct rotation *r, const char *store, size_t cache_bytes,
                        struct fault *fault)
{
    find_parts(r);
    r->copies = rotation_copies(r->turn_bytes, cache_bytes);
    if (!r->parts)
        return fault_set(fault, ST_REFUSED, "it has no weights that could be cold");
    if (!r->copies)
        return fault_set(fault, ST_REFUSED,
                         "%zu bytes are too few to be had cold: over %d copies would be needed",
                         r->turn_bytes, ROTATION_COPIES_MAX);
    TRY(take_memory(r, store, fault));
    for (int k = 0; k < r->parts; k++)
        TRY(copy_part(r, &r->part[k], fault));
    return ST_OK;
}

enum status rotation_new(enum cache_state state, size_t cache_bytes, struct bound *b,
                         struct rotation *out, struct fault *fault)
{
    return rotation_new_in(NULL, state, cache_bytes, b, out, fault);
}

enum status rotation_new_in(const char *store, enum cache_state state, size_t cache_bytes,
                            struct bound *b, struct rotation *out, struct fault *fault)
{
    *out = (struct rotation){.state = state, .bound = b, .copies = 1};
    if (state == CACHE_HOT)
        return ST_OK;
    b->operands->keep_weights = true;
    b->operands->weight_seed = b->operands->seed;
    enum status status = fill(out, store, cache_bytes, fault);
    if (status != ST_OK)
        rotation_free(out);
    return status;
}

void rotation_free(struct rotation *r)
{
    if (r->memory && r->bound->mirror.gpu)
        gpu_free(r->bound->mirror.gpu, r->memory);
    else if (r->memory)
        munmap(r->memory, r->memory_bytes);
    r->memory = NULL;
    r->copies = 1;
    r->parts = 0;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static void go_to(struct rotation *r, int copy)
{
    for (int k = 0; k < r->parts; k++) {
        struct rotation_part *p = &r->part[k];
        if (p->slot)
            *p->slot = address(r, p, copy);
        else
            r->bound->exec.packed = address(r, p, copy);
    }
}

void rotation_rehome(struct rotation *r)
{
    for (int k = 0; k < r->parts; k++)
        r->part[k].home = r->part[k].slot ? *r->part[k].slot : (void *)r->bound->exec.packed;
    r->next = 0;
}

static enum status poison(const struct rotation *r, const struct rotation_part *p,
                          struct fault *fault)
{
    struct operand_memory memory;
    struct gpu *gpu = r->bound->mirror.gpu;
    operands_memory(r->bound->operands, p->tensor, &memory);
    for (int i = 1; i < r->copies; i++)
        if (gpu)
            TRY(gpu_fill(gpu, address(r, p, i), memory.poison, p->bytes, fault));
        else
            memset(address(r, p, i), memory.poison, p->bytes);
    return ST_OK;
}

enum status rotation_renew(struct rotation *r, uint64_t seed, struct fault *fault)
{
    struct operands *o = r->bound->operands;
    r->ran = 0;
    if (r->copies <= 1) {
        bound_scatter(r->bound, seed);
        operands_fill(o, seed, PATTERN_RANDOM);
        operands_poison(o);
        bound_alive(r->bound);
        return bound_prepare(r->bound, fault);
    }
    go_to(r, 0);
    operands_fill_inputs(o, seed);
    TRY(bound_renew(r->bound, fault));
    bound_alive(r->bound);
    for (int k = 0; k < r->parts; k++) {
        if (activation(r, &r->part[k]))
            TRY(copy_part(r, &r->part[k], fault));
        if (output(r, &r->part[k]))
            TRY(poison(r, &r->part[k], fault));
    }
    r->next = 0;
    return ST_OK;
}

enum status rotation_run(struct rotation *r)
{
    if (r->copies > 1) {
        go_to(r, r->next);
        r->next = r->next + 1 == r->copies ? 0 : r->next + 1;
        r->ran += r->ran < r->copies;
    }
    return bound_run(r->bound);
}

/* ---- what they left -------------------------------------------------------------------------- */

/* An input of a copy must be as it was given. Copies on a device are not looked at: an input that
 * was changed there shows in the outputs, which are. */
static enum status unchanged(const struct rotation *r, const struct rotation_part *p, int copy,
                             struct fault *fault)
{
    const struct problem given = operands_pristine(r->bound->operands);
    const bool packed = p->tensor < 0;
    const void *want = packed ? p->home : problem_tensor_const(&given, p->tensor)->data;
    if (r->bound->mirror.gpu || output(r, p) || !memcmp(address(r, p, copy), want, p->bytes))
        return ST_OK;
    return fault_set(fault, ST_WRONG, "changed its input %s while it was timed",
                     packed ? "packed weights"
                            : op_table[r->bound->problem.op]->tensor[p->tensor].name);
}

void *rotation_data(const struct rotation *r, int tensor, int copy)
{
    for (int k = 0; k < r->parts; k++)
        if (r->part[k].tensor == tensor)
            return address(r, &r->part[k], copy);
    return problem_tensor_const(&r->bound->problem, tensor)->data;
}

/* The hash of one copy's outputs, brought to the host where they are on a device. */
enum status rotation_hash(const struct rotation *r, int copy, uint64_t *hash, struct fault *fault)
{
    struct operands view = *r->bound->operands;
    struct operand_memory memory;
    for (int k = 0; k < r->parts; k++) {
        const struct rotation_part *p = &r->part[k];
        if (!output(r, p))
            continue;
        if (!r->bound->mirror.gpu)
            problem_tensor(&view.problem, p->tensor)->data = address(r, p, copy);
        else if (operands_memory(r->bound->operands, p->tensor, &memory))
            TRY(gpu_download(r->bound->mirror.gpu, memory.data, address(r, p, copy), p->bytes,
                             fault));
    }
    *hash = check_outputs_hash(&view);
    return ST_OK;
}

enum status rotation_left(struct rotation *r, uint64_t *hash, struct fault *fault)
{
    uint64_t other;
    go_to(r, 0);
    TRY(bound_fetch(r->bound, fault));
    TRY(bound_intact(r->bound, fault));
    TRY(rotation_hash(r, 0, hash, fault));
    for (int i = 1; i < r->ran; i++) {
        for (int k = 0; k < r->parts; k++)
            TRY(unchanged(r, &r->part[k], i, fault));
        TRY(rotation_hash(r, i, &other, fault));
        if (other != *hash)
            return fault_set(fault, ST_WRONG,
                             "timed runs on copies of the same data left different outputs");
        bound_alive(r->bound);
    }
    return ST_OK;
}
