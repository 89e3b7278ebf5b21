// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* dump.h   Every stage of a clip as safetensors, so that anyone can compare any stage with another
 * implementation, and the tensors that can be put in from outside. */
#ifndef PATCHMARK_DUMP_H
#define PATCHMARK_DUMP_H

#include "engine/case.h"

struct dump;

/* ST_BAD_INPUT where the path is something else than a folder. */
enum status dump_check(const char *folder, struct fault *fault);
/* Creates the folder where it is not there. */
enum status dump_open(const char *folder, const struct pipeline_case *c, struct dump **out,
                      struct fault *fault);
enum status dump_text(struct dump *d, const float *prompt, const float *negative,
                      struct fault *fault);
enum status dump_latents(struct dump *d, const float *latents, int64_t index, struct fault *fault);
/* The clip's own, which the decoder reads; after the last step of a model whose first frame is given
 * that frame is put back here. */
enum status dump_denoised(struct dump *d, const float *latents, struct fault *fault);
enum status dump_image(struct dump *d, const float *rows, int64_t count, const float *condition,
                       int64_t channels, int64_t frames, struct fault *fault);
enum status dump_frames(struct dump *d, const float *rgb, int64_t count, struct fault *fault);
/* Frees d. Of a complete dump, files in its folder that an earlier clip left and this one has not
 * written go: *cleared of them. A folder then holds one clip. */
enum status dump_close(struct dump *d, bool complete, int *cleared, struct fault *fault);

/* `latents` [1,C,T,H,W] of the padded shape and, of models with sound, `audio_latents` [1,rows,C];
 * owned by the caller. */
enum status load_noise(const char *path, const struct generate_request *request, float **out,
                       float **extra, struct fault *fault);
/* `prompt_embeds` and `negative_prompt_embeds` [1,M,C]; the second may be absent unless wanted. */
enum status load_embeds(const char *path, const struct model_config *model, bool want_negative,
                        float **prompt, float **negative, int64_t *rows, struct fault *fault);

#endif
