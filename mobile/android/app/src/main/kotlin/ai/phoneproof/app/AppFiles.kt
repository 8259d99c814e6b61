package ai.phoneproof.app

import android.content.ContentProvider
import android.content.ContentValues
import android.content.Context
import android.database.Cursor
import android.database.MatrixCursor
import android.net.Uri
import android.os.ParcelFileDescriptor
import android.provider.OpenableColumns
import java.io.File
import java.io.FileNotFoundException

/** Lends two files to other apps: the photo that a camera app writes, and the results that are shared. */
class AppFiles : ContentProvider() {
    private enum class Lent(val file: String, val type: String) {
        PHOTO("photo.jpg", "image/jpeg"),
        RESULTS("device-results.json", "application/json"),
    }

    override fun onCreate() = true

    override fun getType(uri: Uri): String? = lent(uri)?.type

    override fun openFile(uri: Uri, mode: String): ParcelFileDescriptor {
        val lent = lent(uri)
        val isAllowed = mode == "r" || lent == Lent.PHOTO
        if (lent == null || !isAllowed) throw FileNotFoundException("$uri, mode $mode")
        val file = file(requireNotNull(context), lent)
        return ParcelFileDescriptor.open(file, ParcelFileDescriptor.parseMode(mode))
    }

    override fun query(
        uri: Uri,
        projection: Array<String>?,
        selection: String?,
        arguments: Array<String>?,
        order: String?,
    ): Cursor? {
        val lent = lent(uri) ?: return null
        val columns = projection ?: arrayOf(OpenableColumns.DISPLAY_NAME, OpenableColumns.SIZE)
        val row = columns.map { column ->
            when (column) {
                OpenableColumns.DISPLAY_NAME -> lent.file
                OpenableColumns.SIZE -> file(requireNotNull(context), lent).length()
                else -> null
            }
        }
        return MatrixCursor(columns, 1).apply { addRow(row) }
    }

    override fun insert(uri: Uri, values: ContentValues?): Uri? = null

    override fun delete(uri: Uri, selection: String?, arguments: Array<String>?) = 0

    override fun update(
        uri: Uri,
        values: ContentValues?,
        selection: String?,
        arguments: Array<String>?,
    ) = 0

    companion object {
        fun photo(context: Context): Uri = uri(context, Lent.PHOTO)

        fun results(context: Context): Uri = uri(context, Lent.RESULTS)

        fun resultsFile(context: Context): File = file(context, Lent.RESULTS)

        private fun uri(context: Context, lent: Lent): Uri =
            Uri.parse("content://${context.packageName}.files/${lent.file}")

        private fun file(context: Context, lent: Lent) = File(context.filesDir, lent.file)

        private fun lent(uri: Uri) = Lent.entries.firstOrNull { it.file == uri.lastPathSegment }
    }
}
