/*
 * tools/moves.h - changes and moves of a plan, as people read them.
 */
#ifndef PLURI_TOOLS_MOVES_H
#define PLURI_TOOLS_MOVES_H

#include <jansson.h>

/* {"changes": [...], "moves": {...}}: exit status 0, or 1 for no memory. */
int moves_show(const json_t *plan);

#endif
