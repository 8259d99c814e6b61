@file:Suppress("PackageDirectoryMismatch", "ktlint:standard:class-naming")

package android.hardware.camera2

/** Of Android 15; Robolectric's camera names it, and cannot be loaded on Android 14 without it. */
@Suppress("ClassName", "unused")
class `CameraDevice$CameraDeviceSetup`
