package ai.phoneproof;

import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertFalse;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;

import ai.phoneproof.acceleration.Trial;
import ai.phoneproof.acceleration.TrialState;
import ai.phoneproof.decode.Classification;
import ai.phoneproof.decode.Detection;
import ai.phoneproof.engine.AcceleratorKind;
import ai.phoneproof.pixels.VisibleRegion;
import ai.phoneproof.selftest.GoldenProof;
import ai.phoneproof.selftest.SelfTest;
import ai.phoneproof.tflite.TfLiteEngines;
import ai.phoneproof.thermal.AndroidThermalSource;
import ai.phoneproof.thermal.ThermalGovernor;
import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Color;
import android.util.Log;
import java.io.File;
import java.util.List;
import org.junit.Before;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.TemporaryFolder;
import org.junit.runner.RunWith;
import org.robolectric.RobolectricTestRunner;
import org.robolectric.RuntimeEnvironment;

/** The library called from Java, as docs/how-to/use-in-an-app.md shows it. */
@RunWith(RobolectricTestRunner.class)
public class JavaCallTest {
    @Rule public final TemporaryFolder temporary = new TemporaryFolder();

    private final Context context = RuntimeEnvironment.getApplication();
    private final Bitmap bitmap = Bitmap.createBitmap(8, 8, Bitmap.Config.ARGB_8888);
    private SmallBundle bundle;

    @Before
    public void paintAndWrite() {
        bitmap.eraseColor(Color.RED);
        bundle = new SmallBundle(temporary.getRoot());
    }

    /** Word by word as in the documentation. */
    private static void snippet(Context context, Bitmap bitmap) {
        try (VisionModel model = VisionModel.fromAssets(context, "artifacts/model_float32.tflite", new TfLiteEngines())) {
            for (Detection found : model.detect(bitmap)) {
                Log.i("model", found.getLabel() + " " + found.getScore());
            }
        }
    }

    @Test
    public void theSnippetSaysWhatIsMissing() {
        ModelFileError error = assertThrows(ModelFileError.class, () -> snippet(context, bitmap));
        assertEquals("a file of the model is missing", error.getFailed());
        assertEquals("copy the whole bundle", error.getNextStep());
    }

    @Test
    public void aModelClassifies() {
        File folder = bundle.getFolder();
        RedEngines engines = new RedEngines(0, false);
        try (VisionModel model = VisionModel.fromFile(context, folder, bundle.getPath(), engines)) {
            List<Classification> classes = model.classify(bitmap);
            assertEquals("red", classes.get(0).getLabel());
            assertEquals(1f, classes.get(0).getScore(), 1e-6f);
            assertEquals(AcceleratorKind.CPU, model.getAcceleratorInUse().getKind());
            for (Trial trial : model.getWhyNot()) {
                assertFalse(trial.getState() == TrialState.CHOSEN);
            }
            VisibleRegion seen = VisibleRegion.of(model.getContract().getImage(), 8, 6);
            assertEquals(6f, seen.getBottom(), 0f);
        }
        assertTrue(engines.isClosed());
    }

    @Test
    public void proofAndSelfTestSayWhatIsMissing() {
        ModelFolder folder = ModelFolder.disk(bundle.getFolder());
        assertEquals(List.of(bundle.getPath()), folder.models());
        String model = folder.models().get(0);
        assertThrows(ModelFileError.class, () -> new GoldenProof(folder, model).differences());
        assertThrows(
            ModelFileError.class,
            () -> new SelfTest(context, folder, model, new RedEngines(0, false)).run()
        );
    }

    @Test
    public void aGovernorAdmitsTheFirstFrame() {
        ThermalGovernor governor = new ThermalGovernor(new AndroidThermalSource(context));
        assertTrue(governor.admits(System.nanoTime()));
        governor.ran(1_000_000);
    }
}
