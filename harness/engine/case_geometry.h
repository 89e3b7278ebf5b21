// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* case_geometry.h   One hash for everything of a model that decides what its networks compute. */
#ifndef PATCHMARK_CASE_GEOMETRY_H
#define PATCHMARK_CASE_GEOMETRY_H

#include "model/model.h"

/* SHA-256 in hex. Of a model_config: all but its name, and but defaults of its pipeline, which a
 * request holds. */
void case_geometry_sha256(const struct model_config *model, char out[65]);

#endif
