// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* cublaslt.h   cuBLASLt loaded at run time, and its matrix product as the _00_ variants use it: the
 * heuristic is asked once per form of the product, its answer is kept. Everything on the host; the
 * device sees what a product enqueues. */
#ifndef PATCHMARK_TARGET_CUBLASLT_H
#define PATCHMARK_TARGET_CUBLASLT_H

#include <cublasLt.h>

#include "target/library.h"

/* ---- the library ----------------------------------------------------------------------------- */

#define CUBLASLT_SYMBOLS(X)                                                                        \
    X(version, cublasLtGetVersion)                                                                 \
    X(create, cublasLtCreate)                                                                      \
    X(destroy, cublasLtDestroy)                                                                    \
    X(layout_create, cublasLtMatrixLayoutCreate)                                                   \
    X(layout_destroy, cublasLtMatrixLayoutDestroy)                                                 \
    X(desc_create, cublasLtMatmulDescCreate)                                                       \
    X(desc_destroy, cublasLtMatmulDescDestroy)                                                     \
    X(desc_set, cublasLtMatmulDescSetAttribute)                                                    \
    X(preference_create, cublasLtMatmulPreferenceCreate)                                           \
    X(preference_destroy, cublasLtMatmulPreferenceDestroy)                                         \
    X(preference_set, cublasLtMatmulPreferenceSetAttribute)                                        \
    X(heuristic, cublasLtMatmulAlgoGetHeuristic)                                                   \
    X(config_get, cublasLtMatmulAlgoConfigGetAttribute)                                            \
    X(matmul, cublasLtMatmul)

struct cublaslt_api {
#define CUBLASLT_MEMBER(member, symbol) __typeof__(symbol) *member;
    CUBLASLT_SYMBOLS(CUBLASLT_MEMBER)
#undef CUBLASLT_MEMBER
};

#define CUBLASLT_VERSION 120000 /* bias of a type of its own, and the answers' layout */

static inline enum status cublaslt_load(struct cublaslt_api *api)
{
    static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                        NULL};
    static const struct library_symbol symbols[] = {
#define CUBLASLT_ENTRY(member, symbol) {#symbol, offsetof(struct cublaslt_api, member)},
        CUBLASLT_SYMBOLS(CUBLASLT_ENTRY)
#undef CUBLASLT_ENTRY
    };
    TRY(library_load(names, symbols, (int)(sizeof symbols / sizeof symbols[0]), api));
    return api->version() >= CUBLASLT_VERSION ? ST_OK : ST_UNAVAILABLE;
}

static inline cudaDataType_t cublaslt_type(int64_t elem)
{
    return elem == ELEM_F32 ? CUDA_R_32F : (elem == ELEM_BF16 ? CUDA_R_16BF : CUDA_R_16F);
}

/* What the library cannot do is the variant's refusal; all else went wrong on the way. */
static inline enum status cublaslt_status(cublasStatus_t s)
{
    if (s == CUBLAS_STATUS_SUCCESS)
        return ST_OK;
    return s == CUBLAS_STATUS_NOT_SUPPORTED ? ST_REFUSED : ST_DEVICE;
}

/* ---- products -------------------------------------------------------------------------------- */

enum { CUBLASLT_ANSWERS = 8, CUBLASLT_MATMULS_MAX = 256 };

/* y[s][o] = sum_k x[s][k] w[o][k] (+ bias[o]) (+ c[s][o]), sums in f32, everything row-major with
 * its stride. Compared byte by byte, so all members are int64_t. */
struct cublaslt_form {
    int64_t S, K, O;
    int64_t x_stride, w_stride, c_stride, y_stride;
    int64_t in, out; /* enum elem of x and w, of c and y */
    int64_t bias, add;
    int64_t choice; /* which of the heuristic's answers, from 0 */
};

struct cublaslt_matmul {
    struct cublaslt_form form;
    cublasStatus_t status; /* of making it */
    cublasLtMatmulDesc_t desc;
    cublasLtMatrixLayout_t w, x, c, y;
    cublasLtMatmulHeuristicResult_t answer;
    int answers; /* how many there were */
};

/* What open() returns. */
struct cublaslt_handle {
    struct cublaslt_api api;
    cublasLtHandle_t handle;
    int count;
    struct cublaslt_matmul matmul[CUBLASLT_MATMULS_MAX];
};

struct cublaslt_operands {
    const void *w, *x, *bias, *c;
    void *y;
    void *workspace; /* aligned to 256 bytes */
    size_t workspace_bytes;
};

/* The library counts columns first: its D is y turned, w its A turned back, x its B. */
static inline void cublaslt_describe_operands(struct cublaslt_handle *h, struct cublaslt_matmul *m)
{
    const struct cublaslt_form *f = &m->form;
    const cudaDataType_t in = cublaslt_type(f->in), out = cublaslt_type(f->out);
    const struct {
        cublasLtMatrixLayout_t *layout;
        cudaDataType_t type;
        int64_t rows, columns, stride;
    } all[] = {{&m->w, in, f->K, f->O, f->w_stride},
               {&m->x, in, f->K, f->S, f->x_stride},
               {&m->c, out, f->O, f->S, f->c_stride},
               {&m->y, out, f->O, f->S, f->y_stride}};
    for (int i = 0; i < 4 && m->status == CUBLAS_STATUS_SUCCESS; i++)
        m->status = h->api.layout_create(all[i].layout, all[i].type, (uint64_t)all[i].rows,
                                         (uint64_t)all[i].columns, all[i].stride);
}

/* COMPUTE_32F is f32 throughout: TF32 would have to be asked for. The heuristic takes the bias
 * pointer's value for its alignment and does not follow it. */
static inline void cublaslt_describe_product(struct cublaslt_handle *h, struct cublaslt_matmul *m)
{
    const void *const bias = (const void *)(uintptr_t)TENSOR_ALIGN;
    const cublasOperation_t turn = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue =
        m->form.bias ? CUBLASLT_EPILOGUE_BIAS : CUBLASLT_EPILOGUE_DEFAULT;
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status = h->api.desc_create(&m->desc, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status = h->api.desc_set(m->desc, CUBLASLT_MATMUL_DESC_TRANSA, &turn, sizeof turn);
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status =
            h->api.desc_set(m->desc, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue);
    if (m->status == CUBLAS_STATUS_SUCCESS && m->form.bias)
        m->status = h->api.desc_set(m->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias);
}

/* Bases are aligned to TENSOR_ALIGN and no more. Parts of a sum may meet in f32 alone. */
static inline cublasStatus_t cublaslt_prefer(struct cublaslt_handle *h,
                                             const struct cublaslt_form *f, size_t room_bytes,
                                             cublasLtMatmulPreference_t preference)
{
    const uint64_t room = room_bytes;
    const uint32_t align = TENSOR_ALIGN;
    const uint32_t reduce = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE |
                            (f->out == ELEM_F32 ? CUBLASLT_REDUCTION_SCHEME_INPLACE : 0);
    const struct {
        cublasLtMatmulPreferenceAttributes_t name;
        const void *value;
        size_t bytes;
    } all[] = {{CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room, sizeof room},
               {CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reduce, sizeof reduce},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, &align, sizeof align},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &align, sizeof align},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &align, sizeof align},
               {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &align, sizeof align}};
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && status == CUBLAS_STATUS_SUCCESS; i++)
        status = h->api.preference_set(preference, all[i].name, all[i].value, all[i].bytes);
    return status;
}

static inline void cublaslt_ask(struct cublaslt_handle *h, struct cublaslt_matmul *m,
                                size_t room_bytes)
{
    cublasLtMatmulHeuristicResult_t answer[CUBLASLT_ANSWERS];
    cublasLtMatmulPreference_t preference = NULL;
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status = h->api.preference_create(&preference);
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status = cublaslt_prefer(h, &m->form, room_bytes, preference);
    if (m->status == CUBLAS_STATUS_SUCCESS)
        m->status = h->api.heuristic(h->handle, m->desc, m->w, m->x, m->c, m->y, preference,
                                     CUBLASLT_ANSWERS, answer, &m->answers);
    if (preference)
        h->api.preference_destroy(preference);
    if (m->status != CUBLAS_STATUS_SUCCESS)
        return;
    if (m->form.choice < m->answers)
        m->answer = answer[m->form.choice];
    m->status = m->form.choice < m->answers ? m->answer.state : CUBLAS_STATUS_NOT_SUPPORTED;
}

static inline struct cublaslt_matmul *cublaslt_find(struct cublaslt_handle *h,
                                                    const struct cublaslt_form *form)
{
    for (int i = 0; i < h->count; i++)
        if (!memcmp(&h->matmul[i].form, form, sizeof *form))
            return &h->matmul[i];
    return NULL;
}

/* Enqueues one product. */
static inline enum status cublaslt_run(struct cublaslt_handle *h, const struct cublaslt_form *form,
                                       const struct cublaslt_operands *at, void *stream)
{
    const float alpha = 1, beta = form->add ? 1 : 0;
    struct cublaslt_matmul *m = cublaslt_find(h, form);
    if (!m && h->count == CUBLASLT_MATMULS_MAX)
        return ST_NO_MEMORY;
    if (!m) {
        m = &h->matmul[h->count++];
        m->form = *form;
        cublaslt_describe_operands(h, m);
        cublaslt_describe_product(h, m);
        cublaslt_ask(h, m, at->workspace_bytes);
    }
    TRY(cublaslt_status(m->status));
    if (form->bias)
        TRY(cublaslt_status(h->api.desc_set(m->desc, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &at->bias,
                                            sizeof at->bias)));
    return cublaslt_status(h->api.matmul(h->handle, m->desc, &alpha, at->w, m->w, at->x, m->x,
                                         &beta, form->add ? at->c : at->y, m->c, at->y, m->y,
                                         &m->answer.algo, at->workspace, at->workspace_bytes,
                                         (cudaStream_t)stream));
}

static inline int64_t cublaslt_config(const struct cublaslt_handle *h,
                                      const struct cublaslt_matmul *m,
                                      cublasLtMatmulAlgoConfigAttributes_t name, size_t bytes)
{
    unsigned char raw[8] = {0};
    uint16_t narrow;
    int32_t wide;
    size_t written = 0;
    if (h->api.config_get(&m->answer.algo, name, raw, bytes, &written) != CUBLAS_STATUS_SUCCESS)
        return -1;
    memcpy(&narrow, raw, sizeof narrow);
    memcpy(&wide, raw, sizeof wide);
    return bytes == sizeof narrow ? narrow : wide;
}

/* What was asked for this form and what it became, in the numbers of cublasLt.h; returns the
 * length. */
static inline int cublaslt_describe(const struct cublaslt_handle *h,
                                    const struct cublaslt_matmul *m, char *out, size_t bytes)
{
    if (m->status != CUBLAS_STATUS_SUCCESS)
        return snprintf(out, bytes, "asked: answer %d of the heuristic; got: status %d, %d answers",
                        (int)m->form.choice, (int)m->status, m->answers);
    return snprintf(
        out, bytes,
        "asked: answer %d of the heuristic; got: algorithm %d tile %d stages %d split-k %d scheme "
        "%d swizzle %d option %d inner %d cluster %d, waves %.2f, workspace %lld bytes, "
        "cuBLASLt %d",
        (int)m->form.choice, (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_ID, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_TILE_ID, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_STAGES_ID, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_SPLITK_NUM, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_CTA_SWIZZLING, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_CUSTOM_OPTION, 4),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_INNER_SHAPE_ID, 2),
        (int)cublaslt_config(h, m, CUBLASLT_ALGO_CONFIG_CLUSTER_SHAPE_ID, 2),
        (double)m->answer.wavesCount, (long long)m->answer.workspaceSize, (int)h->api.version());
}

/* ---- open and close -------------------------------------------------------------------------- */

static inline void cublaslt_close(void *opened)
{
    struct cublaslt_handle *h = (struct cublaslt_handle *)opened;
    for (int i = 0; i < h->count; i++) {
        struct cublaslt_matmul *m = &h->matmul[i];
        cublasLtMatrixLayout_t layout[] = {m->w, m->x, m->c, m->y};
        for (int k = 0; k < 4; k++)
            if (layout[k])
                h->api.layout_destroy(layout[k]);
        if (m->desc)
            h->api.desc_destroy(m->desc);
    }
    if (h->handle)
        h->api.destroy(h->handle);
    free(h);
}

static inline enum status cublaslt_open(const struct exec *exec, void **opened)
{
    (void)exec;
    struct cublaslt_handle *h = (struct cublaslt_handle *)calloc(1, sizeof *h);
    if (!h)
        return ST_NO_MEMORY;
    enum status status = cublaslt_load(&h->api);
    if (status == ST_OK && h->api.create(&h->handle) != CUBLAS_STATUS_SUCCESS)
        status = ST_UNAVAILABLE;
    if (status == ST_OK)
        *opened = h;
    else
        cublaslt_close(h);
    return status;
}

#endif
