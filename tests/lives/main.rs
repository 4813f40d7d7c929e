//! Each cloud's operations from `kubectl apply` to each of their ends: the real API server, the real controller, TLS.
//!
//! What is to be seen at each moment of a life stands in `<provider>/<case>.yaml`, reviewed. A life waits until the whole
//! status is as it stands there, counts the writes that led to it, and ends with `kubectl wait` and the Events.
//! `UPDATE_EXPECTED=1` writes these files, to be read line by line before they are kept.

mod absence;
mod hindsight;
mod huawei_cce_job;
mod huawei_cce_upgrade;
mod huawei_job;
mod huawei_ucs_federation;
mod numspot_cluster;
mod numspot_kubernetes;
mod otc_cce_job;
mod otc_job;
mod sbercloud_openshift_task;
mod story;
