/* What the generator's and the sink's programs share. Mirrored in ../src/pktgen/. */
#pragma once

#include "kernel.h"

#define BPF_MAP_TYPE_DEVMAP 14

static u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static u32 (*const bpf_get_prandom_u32)(void) = (void *)7;

#define MAGIC 0x67746b7070657476ULL /* "vteppktg" */
#define TRAILER 16

/* The last bytes of every generated frame, in the machine's byte order: a tunnel puts headers before a frame and leaves
 * its end alone, so the sink finds them whatever happened on the way. */
struct trailer {
	u64 magic;
	u64 intended; /* CLOCK_MONOTONIC, ns, when a probe should have been sent; 0: no probe */
};

/* No frame is longer: a live frame holds less than a page. */
#define MAX_FRAME 4000

/* A histogram of times in ns, of the log-linear kind: 128 steps to each power of two, so a step is less than 1 % of the
 * value. */
#define STEP_BITS 7
#define STEPS (1 << STEP_BITS)
#define LONGEST 36 /* power of two, ns: over a minute */
#define BUCKETS ((LONGEST - STEP_BITS + 1) << STEP_BITS)

INLINE u32 bucket_of(u64 value)
{
	u32 power = STEP_BITS;

	if (value < STEPS)
		return value;
	if (value >> LONGEST)
		return BUCKETS - 1;
#pragma unroll
	for (u32 bits = 16; bits; bits /= 2)
		if (power + bits < LONGEST && value >> (power + bits))
			power += bits;
	return ((power - STEP_BITS + 1) << STEP_BITS) + ((value >> (power - STEP_BITS)) & (STEPS - 1));
}
