// SPDX-FileCopyrightText: The Patchmark authors
// SPDX-License-Identifier: Apache-2.0
/* replica_place.h   Where replicas work: each on processors of its own, neighbours together and nodes
 * of memory one after the other, or each on a CUDA device or MIG slice of its own. */
#ifndef PATCHMARK_REPLICA_PLACE_H
#define PATCHMARK_REPLICA_PLACE_H

#include "machine/topology.h"

#define REPLICAS_MAX 256

struct replica_place {
    struct pinning pinning; /* of replicas on the CPU */
    char device[24];        /* "cpu", "cuda:0" */
    int visible;            /* of the entries of CUDA_VISIBLE_DEVICES this one alone; -1: all */
    int node;               /* memory node of its first processor; a CUDA device: its number */
};

/* Divides the processors among `replicas`, each with `threads` of its own: a thread to a core where
 * there are cores enough, else two may share one. root: "" for this machine; a test gives a folder
 * with sys/, by which nodes are told. ST_UNAVAILABLE, numbers said, where processors are too few. */
enum status replica_places_cpu(const struct topology *t, const char *root, int replicas,
                               int threads, struct replica_place *place, struct fault *fault);

/* Memory nodes with processors; 1 where the system tells of none. */
int replica_nodes(const char *root);

/* "cuda:0" where the word names several devices, as "cuda:0-3", "cuda:0+2" or "cuda:all"; else NULL.
 * Static. */
const char *replica_device_first(const char *word);
/* The devices that `word` names, one place each, in `place` (REPLICAS_MAX entries, or NULL to count
 * them). Where CUDA_VISIBLE_DEVICES names MIG slices, cuda:all is one place for each of them. */
enum status replica_places_cuda(const char *word, struct replica_place *place, int *count,
                                struct fault *fault);

/* In the worker, before it opens a device. -1: it sees all. */
enum status replica_see(int visible, struct fault *fault);

#endif
