/*
 * base/own.h - who frees: pluri_auto(T) calls T_free at the end of the scope,
 * pluri_steal hands ownership on. Declare at block top, always initialised.
 */
#ifndef PLURI_BASE_OWN_H
#define PLURI_BASE_OWN_H

#include <stdlib.h>

/* Once per type, beside its T_free(): lets pluri_auto(T) work. */
#define PLURI_OWN(T)                                                          \
	__attribute__((unused)) static inline void pluri_drop_##T(            \
		struct T **p)                                                 \
	{                                                                     \
		T##_free(*p);                                                 \
	}                                                                     \
	struct T /* so that the macro ends with a semicolon */

#define pluri_auto(T) __attribute__((cleanup(pluri_drop_##T))) struct T *

/* A plain malloc'd buffer of any type, freed at the end of the scope. */
__attribute__((unused)) static inline void pluri_drop_mem(void *p)
{
	free(*(void **)p);
}
#define pluri_auto_mem __attribute__((cleanup(pluri_drop_mem)))

#define pluri_steal(p)                                                        \
	__extension__({                                                       \
		__typeof__(p) stolen_ = (p);                                  \
		(p) = NULL;                                                   \
		stolen_;                                                      \
	})

#endif
