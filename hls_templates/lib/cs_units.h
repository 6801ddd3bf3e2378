// Every unit a generated design is made of.
#ifndef CS_UNITS_H
#define CS_UNITS_H

#include "cs_channel_dot.h"
#include "cs_exit.h"
#include "cs_matrix_vector.h"
#include "cs_pool.h"
#include "cs_ports.h"
#include "cs_requantize.h"
#include "cs_sliding_window.h"
#include "cs_stream_units.h"

#endif
