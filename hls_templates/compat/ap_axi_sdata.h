// ap_axiu for C simulation without a vendor tool: the fields of an AXI4-Stream beat, data first.
#ifndef CS_COMPAT_AP_AXI_SDATA_H
#define CS_COMPAT_AP_AXI_SDATA_H

#include <ap_int.h>

template <int D, int U, int TI, int TD>
struct ap_axiu {
    ap_uint<D> data;
    ap_uint<(D + 7) / 8> keep;
    ap_uint<(D + 7) / 8> strb;
    ap_uint<U> user;
    ap_uint<1> last;
    ap_uint<TI> id;
    ap_uint<TD> dest;
};

#endif
